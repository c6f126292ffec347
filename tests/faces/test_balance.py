"""Balanced species: every class is shown about as often as every other, the same way each time."""

from collections import Counter

from rupantara.faces.balance import repeats, show_times


def test_uneven_classes_are_shown_alike_and_none_is_lost():
    classes = ["cat"] * 900 + ["leopard"] * 100 + ["fox"] * 350
    ids = [f"id{i}" for i in range(len(classes))]
    times = show_times(ids, classes, repeats(Counter(classes)), seed=0)
    shown = Counter()
    for name, n in zip(classes, times, strict=True):
        shown[name] += int(n)
    assert max(shown.values()) / min(shown.values()) < 1.15
    assert (times == show_times(ids, classes, repeats(Counter(classes)), seed=0)).all()
    assert (times != show_times(ids, classes, repeats(Counter(classes)), seed=1)).any()


def test_a_factor_is_the_mean_number_of_times_and_rows_of_0_times_stay_at_0():
    ids = [f"id{i}" for i in range(4000)]
    for factor in (0.3, 1.0, 2.25):
        times = show_times(ids, ["cat"] * 4000, {"cat": factor}, seed=3)
        assert abs(times.mean() - factor) < 0.03 and set(times.tolist()) <= {int(factor), int(factor) + 1}
