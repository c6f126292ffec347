"""A small client of the endpoints, whose errors are the server's.

    with Client("http://127.0.0.1:8000") as client:
        face = client.faces(photo=Path("face.jpg").read_bytes())[0]
        hybrid = client.hybrid(face=face.face, species={"eyes": "tiger"}, amount={"eyes": 0.8})
        Path("hybrid.png").write_bytes(hybrid.data)

It needs httpx alone.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import httpx


class ServerProblem(Exception):
    """The server refused: its status, code, words, and the whole problem document; `retry_after_s` where it says when to ask again."""

    def __init__(self, document: Mapping[str, Any], retry_after_s: float | None = None) -> None:
        self.status, self.code = int(document.get("status", 0)), str(document.get("code", ""))
        self.detail, self.document, self.retry_after_s = str(document.get("detail", "")), dict(document), retry_after_s
        super().__init__(f"{self.status} {self.code}: {self.detail}")


@dataclass(frozen=True)
class FoundFace:
    """A face of /v1/faces: a token for further requests, its id, boxes by part as fractions of the crop, and the crop's file."""

    face: str
    face_id: str
    boxes: Mapping[str, Sequence[float]]
    data: bytes
    media_type: str
    synthetic: bool
    place: Mapping[str, Any]


@dataclass(frozen=True)
class MadePicture:
    """A generated picture: its file, and how it was made."""

    data: bytes
    media_type: str
    id: str
    kind: str
    species: str
    seed: int
    bank_ids: Sequence[str]
    model_sha256: Sequence[str]
    scores: Mapping[str, float]
    parameters: Mapping[str, Any]


class Client:
    """Calls one server; close it, or use it as a context."""

    def __init__(self, url: str, token: str = "", timeout_s: float = 60.0) -> None:
        """Talk to a server; `token` is sent as a bearer token."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout_s)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str) -> Any:
        """Return the JSON of a GET; raise ServerProblem."""
        return _checked(self._http.get(path)).json()

    def post(self, path: str, **fields: Any) -> Any:
        """Return the JSON of a POST; bytes go as base64 and None is left out; raise ServerProblem."""
        body = {name: _plain(value) for name, value in fields.items() if value is not None}
        return _checked(self._http.post(path, json=body, headers={"Accept": "application/json"})).json()

    def ready(self) -> bool:
        """Tell whether every configured route can answer."""
        return self._http.get("/readyz").status_code == 200

    def species(self) -> list[str]:
        """Return the species of the bank."""
        return self.get("/v1/species")["species"]

    def models(self) -> dict[str, Any]:
        """Return what is served."""
        return self.get("/v1/models")

    def faces(self, photo: bytes | None = None, sample: int | None = None, **more: Any) -> list[FoundFace]:
        """Find the faces of a photograph, or sample a person who does not exist."""
        found = self.post("/v1/faces", photo=photo, sample=sample, **more)["faces"]
        kept = ("face", "face_id", "boxes", "media_type", "synthetic", "place")
        return [FoundFace(data=base64.b64decode(one["picture"]), **{name: one[name] for name in kept}) for one in found]

    def hybrid(
        self,
        *,
        photo: bytes | None = None,
        face: str | None = None,
        sample: int | None = None,
        species: str | Mapping[str, str] = "nearest",
        amount: float | Mapping[str, float] = 1.0,
        **more: Any,
    ) -> MadePicture:
        """Make a hybrid of a photograph, a face's token or a sampled person."""
        fields = {"photo": photo, "face": face, "sample": sample, "species": species, "amount": amount}
        return self._pictures("/v1/hybrids", **fields, **more)[0]

    def variations(self, *, count: int = 1, **fields: Any) -> list[MadePicture]:
        """Vary a face (`photo`, `face` or `sample`)."""
        return self._pictures("/v1/variations", count=count, **fields)

    def inversion(self, **fields: Any) -> MadePicture:
        """Make the face of a `vector`, or of a `photo`'s."""
        return self._pictures("/v1/inversions", **fields)[0]

    def children(
        self, *, first: Mapping[str, Any], second: Mapping[str, Any], count: int = 1, **more: Any
    ) -> list[MadePicture]:
        """Make children of two parents, each `{"photo": bytes}`, `{"face": token}` or `{"sample": number}`."""
        parents = {"first": _plain(first), "second": _plain(second)}
        return self._pictures("/v1/children", **parents, count=count, **more)

    def search(self, **fields: Any) -> dict[str, list[dict[str, Any]]]:
        """Return the nearest animals by region of a face (`photo`, `face` or `sample`)."""
        return self.post("/v1/search", **fields)["regions"]

    def affinities(self, **fields: Any) -> dict[str, dict[str, float]]:
        """Return the mean cosine by region and species of a face (`photo`, `face` or `sample`)."""
        return self.post("/v1/affinities", **fields)["regions"]

    def _pictures(self, path: str, **fields: Any) -> list[MadePicture]:
        return [_picture(one) for one in self.post(path, format="json", **fields)["pictures"]]


def _picture(told: Mapping[str, Any]) -> MadePicture:
    if "problem" in told:
        raise ServerProblem(told["problem"])
    names = ("media_type", "id", "kind", "species", "seed", "bank_ids", "model_sha256", "scores", "parameters")
    return MadePicture(base64.b64decode(told["picture"]), **{name: told[name] for name in names})


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _checked(answer: httpx.Response) -> httpx.Response:
    if answer.is_success:
        return answer
    wait = answer.headers.get("retry-after", "")
    if "json" in answer.headers.get("content-type", ""):
        raise ServerProblem(answer.json(), float(wait) if wait.isdigit() else None)
    raise ServerProblem({"status": answer.status_code, "detail": answer.text[:200]})
