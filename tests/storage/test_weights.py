"""A network is the known file or none: missing and altered ones are refused with what to do."""

import hashlib
from pathlib import Path

import pytest

from rupantara.errors import MissingError, UserError
from rupantara.storage import weights
from rupantara.storage.weights import Entry

DATA = b"the weights of a very small network"


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A catalogue entry `tiny` that a file of the returned folder serves."""
    (tmp_path / "server").mkdir()
    source = tmp_path / "server/tiny.onnx"
    source.write_bytes(DATA)
    entry = Entry("tiny", "tiny.onnx", hashlib.sha256(DATA).hexdigest(), "CC0", "onnx", "", (source.as_uri(),))
    monkeypatch.setitem(weights.CATALOGUE, "tiny", entry)
    return tmp_path


SHIPPED = [name for name, entry in weights.CATALOGUE.items() if entry.shipped]


@pytest.mark.parametrize("name", [name for name in weights.CATALOGUE if name not in SHIPPED])
def test_a_missing_network_names_the_command_that_fetches_it_or_says_that_none_does(tmp_path: Path, name: str) -> None:
    with pytest.raises(MissingError) as missing:
        weights.load(str(tmp_path), name)
    message, entry = str(missing.value), weights.CATALOGUE[name]
    assert (f"`python -m rupantara.storage.weights pull {name} --to {tmp_path}`" in message) == bool(entry.urls)
    assert ("no public address" in message) == (not entry.urls)
    assert entry.file in message and (entry.urls or entry.sha256[:16] in message)


@pytest.mark.parametrize("name", SHIPPED)
def test_what_ships_is_loaded_without_a_folder_and_from_one_that_lacks_it(tmp_path: Path, name: str) -> None:
    data = weights.load("", name)
    assert weights.load(str(tmp_path), name) == data
    assert weights.available("", name) and not weights.has("", name)
    licences = (weights.SHIPPED / "README.md").read_text()
    assert weights.CATALOGUE[name].shipped in licences, "a licence and a notice lie beside each network"


def test_a_network_that_does_not_ship_says_so_without_a_folder() -> None:
    with pytest.raises(MissingError, match=r"mobilefacenet is needed, which does not ship: give --weights"):
        weights.load("", "mobilefacenet")


def test_a_file_of_a_folder_takes_the_place_of_what_ships(tmp_path: Path) -> None:
    (tmp_path / "yunet_n_dynamic.onnx").write_bytes(b"another network")
    with pytest.raises(UserError, match="it is not the known yunet"):
        weights.load(str(tmp_path), "yunet")


def test_the_known_file_is_loaded_and_any_other_refused(tiny: Path) -> None:
    (tiny / "tiny.onnx").write_bytes(DATA)
    assert weights.load(str(tiny), "tiny") == DATA
    (tiny / "tiny.onnx").write_bytes(DATA + b".")
    with pytest.raises(UserError, match=r"must have SHA-256 .* it is not the known tiny"):
        weights.load(str(tiny), "tiny")


def test_a_pulled_network_can_be_loaded(tiny: Path) -> None:
    where = weights.pull("tiny", str(tiny / "weights"))
    assert Path(where).read_bytes() == DATA
    assert weights.load(str(tiny / "weights"), "tiny") == DATA


def test_a_served_file_with_another_hash_is_not_kept(tiny: Path) -> None:
    (tiny / "server/tiny.onnx").write_bytes(b"a login page")
    with pytest.raises(UserError, match="no address that serves the file"):
        weights.pull("tiny", str(tiny / "weights"))
    assert not (tiny / "weights").exists()


def test_an_unknown_network_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"one of yunet, .*pfld, .*got 'resnet'"):
        weights.pull("resnet", str(tmp_path))


def test_the_command_line_answers_errors_with_one_line_and_a_status(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert weights.main(["pull", "resnet", "--to", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("error: network must be one of")
    assert weights.main(["list"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in listed] == list(weights.CATALOGUE)
