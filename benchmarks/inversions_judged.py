"""Faces decoded from the shipped identity vector, judged by dlib's network, which no loss saw: is it the person, and against what?

    python -m benchmarks.inversions_judged --faces FACES --features FEATURES [--decoder pretrained/inversion/identity] [--count 300] \
        [--sheet FILE]

One face each of held-out people, decoded from its `identity` vector alone, beside the train face with the nearest vector and the
mean face. The judge finds the vector of each picture again, at the landmarks that the method tells, and says how far it is from the
vector asked for (both of unit length), and which of all people it is nearest to. PSNR and landmarks (px² of 224 x 224) are against
the photograph. Prints Markdown and writes benchmarks/inversions_judged.json.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from rupantara import schema
from rupantara.features.extractor import Decoded, Source, Spec
from rupantara.features.identity import NAME, IdentityVectors
from rupantara.generation.decoder_loading import load_face
from rupantara.imaging import codec
from rupantara.landmarks.texture import SIDE, rescale
from rupantara.reports.grids import grid
from rupantara.storage import tables
from rupantara.tensors import to_pictures
from rupantara.training.decoders import keypoints_of

BATCH, OF_MEAN, SHOWN = 32, 1000, 12


def vectors_of(features):
    """Return the vectors by face id."""
    parts = list(tables.read_parts(features, ("face_id", NAME), schema="features"))
    rows = schema.whole(pa.concat_tables(parts), NAME)
    return dict(zip(rows["face_id"].to_pylist(), schema.dense(rows[NAME], 128).astype(np.float32), strict=True))


def people(faces, split, known):
    """Return the faces of a split that have landmarks and a vector."""
    columns = ("face_id", "domain", "split", "identity", "image", "landmarks", "reject")
    found = []
    for part in tables.read_parts(faces, columns, schema="faces"):
        rows = schema.whole(schema.accepted(schema.where(part, domain="human", split=split)), "landmarks")
        found.append(schema.where_id(rows, known))
    return pa.concat_tables(found)


def one_each(rows):
    """Keep the first face of each person."""
    first = {}
    for i, name in enumerate(rows["identity"].to_pylist()):
        first.setdefault(name, i)
    return rows.take(pa.array(list(first.values())))


def opened(rows, side):
    """Return pictures [n, side, side, 3] and landmarks [n, 68, 2], px of SIDE."""
    pictures, points = [], []
    for row in rows.to_pylist():
        picture = codec.decode_jpeg(row["image"])
        points.append(rescale(np.array(row["landmarks"], np.float32).reshape(68, 2), picture.shape[0], SIDE))
        pictures.append(codec.resize(picture, side))
    return np.stack(pictures), np.stack(points)


def judged(judge, pictures, points):
    """Return the judge's unit vectors of faces whose landmarks are known."""
    out, side = [], pictures.shape[1]
    for start in range(0, len(pictures), BATCH):
        part, own = pictures[start : start + BATCH], rescale(points[start : start + BATCH], SIDE, side)
        five = keypoints_of(torch.from_numpy(own).float()).numpy().astype(np.float32)
        blank = np.zeros((len(part), 6, 4), np.float32)
        out.append(judge(Decoded(list(part), five, blank, ["human"] * len(part), list(own)))[0])
    return np.concatenate(out)


def told(vectors, wanted, pictures, points, truth):
    """Return what a method's row says."""
    apart = np.linalg.norm(vectors - wanted, axis=1)
    cosines = vectors @ wanted.T
    ranks = (cosines > np.diag(cosines)[:, None]).sum(1)
    errors = ((pictures.astype(np.float64) - truth[0]) ** 2).mean((1, 2, 3)) / 255**2
    psnr, squares = -10 * np.log10(np.maximum(errors, 1e-9)), ((points - truth[1]) ** 2).mean((1, 2))
    means = {"distance": apart, "landmark_mse": squares} | ({"psnr": psnr} if errors.any() else {})
    row = {name: [float(v.mean()), float(1.96 * v.std() / len(v) ** 0.5)] for name, v in means.items()}
    return row | {"rank_1": float((ranks == 0).mean())}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("faces", "features"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--decoder", default="pretrained/inversion/identity")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--sheet", default="")
    args = parser.parse_args()
    torch.set_num_threads(1)
    decoder, known = load_face(args.decoder).model, vectors_of(args.features)
    side = decoder.texture.config.side
    held = one_each(people(args.faces, "test", known)).slice(0, args.count)
    train = people(args.faces, "train", known)
    wanted, theirs = (np.stack([known[i] for i in rows["face_id"].to_pylist()]) for rows in (held, train))
    truth = opened(held, side)
    with torch.inference_mode():
        made = decoder(torch.from_numpy(wanted))
    first = opened(train.slice(0, OF_MEAN), side)
    mean = np.broadcast_to(first[0].mean(0).round().astype(np.uint8), truth[0].shape)
    ways = {
        "the photograph": truth,
        "decoder": (to_pictures(made.images), made.points.numpy()),
        "nearest train face": opened(train.take(pa.array((wanted @ theirs.T).argmax(1))), side),
        "mean face": (mean, np.broadcast_to(decoder.texture.mean_points.numpy(), truth[1].shape)),
    }
    judge = IdentityVectors(Spec(NAME), Source(), pa.float32())
    rows = {name: told(judged(judge, *way), wanted, *way, truth) for name, way in ways.items()}
    result = {"people": len(held), "train_faces": len(train), "rows": rows}
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    print("| | distance by dlib | rank 1 | landmark MSE (px²) | PSNR (dB) |")
    print("| --- | --- | --- | --- | --- |")
    for name, row in rows.items():
        far, points, psnr = (
            "{:.3g} ± {:.2g}".format(*row.get(key, (0, 0))) for key in ("distance", "landmark_mse", "psnr")
        )
        print(f"| {name} | {far} | {row['rank_1']:.1%} | {points} | {psnr} |")
    if args.sheet:
        shown = [list(pictures[:SHOWN]) for pictures, _ in list(ways.values())[:3]]
        Path(args.sheet).write_bytes(codec.encode_jpeg(grid(shown), 90))


if __name__ == "__main__":
    main()
