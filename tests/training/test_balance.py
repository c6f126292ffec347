"""Balanced species: every class is shown about as often as every other, the same way each time."""

from collections import Counter

from rupantara.training.balance import repeats, show_times


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
