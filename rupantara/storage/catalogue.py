"""The catalogue of pretrained networks: what each is, its licence, its hash, where a user can fetch it, and what ships."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One file of a pretrained network."""

    name: str
    file: str
    sha256: str
    license: str
    format: str
    loader: str
    urls: tuple[str, ...] = ()
    shipped: str = ""
    """Name of the file in `pretrained/networks`, where the network ships with the product."""
    shipped_sha256: str = ""

    def fits(self, digest: str, *, shipped: bool = False) -> bool:
        """Tell whether a file is the known one; of some, no more of the hash is known here than its beginning, or nothing."""
        if shipped:
            return digest == self.shipped_sha256
        return digest.startswith(self.sha256) or bool(self.shipped and digest == self.shipped_sha256)


VGGFACE = (
    (
        "vggface_pytorch",
        "vgg_face_dag.pth",
        "torch",
        ("https://www.robots.ox.ac.uk/~albanie/models/pytorch-mcn/vgg_face_dag.pth",),
    ),
    ("vggface_caffe", "vgg_face_caffe.pth", "torch", ()),
    (
        "vggface_keras",
        "rcmalli_vggface_tf_vgg16.h5",
        "keras",
        ("https://github.com/rcmalli/keras-vggface/releases/download/v2.0/rcmalli_vggface_tf_vgg16.h5",),
    ),
)
"""The published layouts of one network; their hashes could not be taken here, so these files are not checked."""

MIT = "MIT (V. Mühler, face-api.js)"
FACE_API = (
    (
        "face_landmark_68",
        "70be22b67d203c688ed2a011d0b92edffedfa4af18904cae8e779a3eae871256",
        "c5e18cac8eab20f89053d3257413a2ccaedcc540d7d462dc64a89dcdc3a284ba",
        MIT,
        "rupantara.models.dense_face.landmarks_from",
    ),
    (
        "face_expression",
        "38c32c7189993d1e66cdcad51e3eabdd2ab7648ee2ab1ae83aeb76e58cb9af83",
        "a7807213902bb0f3fe40aad7f3451c3c12c809cebd11184546af39e22372484c",
        MIT,
        "rupantara.models.dense_face.expression_from",
    ),
    (
        "age_gender",
        "f3ead88f0284aef8fdc3d250c778172d1cdb2fdcc632171b5514439a695a3927",
        "bac7e5963ab72d2441c9532583caf7d025dfb988a748aab5b9f1fa0aba13cff0",
        MIT,
        "rupantara.models.age_sex.from_published",
    ),
    (
        "face_recognition",
        "91134e717f37a4f4eb3152d416a0f59327500df7495359e362d69f53f944fdd5",
        "a598c2dc5dedadd993e6ae026087ac0c1a7d5f4b749aca168addb56490292cc7",
        "public domain (D. King, dlib; tensors of face-api.js, MIT)",
        "rupantara.models.dlib_identity.from_published",
    ),
)
"""Name, hash of the published tensors as floats and of the shipped ones in eight bits, licence, loader."""

CATALOGUE = {
    entry.name: entry
    for entry in (
        Entry(
            "yunet",
            "yunet_n_dynamic.onnx",
            "104ee26c71d5c270ce79a6b3dced91c91013260d29a6bf18f9296c5b8c4c2b12",
            "BSD-3-Clause (libfacedetection.train)",
            "onnx",
            "rupantara.faces.detector.YuNet",
            ("https://raw.githubusercontent.com/ShiqiYu/libfacedetection.train/master/onnx/yunet_n_dynamic.onnx",),
            "yunet_n_dynamic.onnx",
            "104ee26c71d5c270ce79a6b3dced91c91013260d29a6bf18f9296c5b8c4c2b12",
        ),
        Entry(
            "animal_landmarks",
            "animal_landmarks.safetensors",
            "",
            "Apache-2.0 (trained here; its photographs are for research, see its card)",
            "safetensors",
            "rupantara.faces.animal_network.load_network",
            (),
            "animal_landmarks.safetensors",
            "5bf8b2cc2a44217fc4a91f32af28e5a718c5afd1d9119a917cb1bb803945aed5",
        ),
        *(
            Entry(
                name, f"{name}.safetensors", sha256, license, "safetensors", loader, (), f"{name}.safetensors", shipped
            )
            for name, sha256, shipped, license, loader in FACE_API
        ),
        Entry(
            "pfld",
            "pfld.onnx",
            "7d7bbd5c6a1d9272e58d9773898284a1905d872eba9a662df9b5f20f1ba6f83e",
            "unstated by its publisher",
            "onnx",
            "rupantara.faces.pfld.PFLD",
        ),
        Entry(
            "mobilefacenet",
            "mobilefacenet.npz",
            "460e6cb82029744d79f7b66b36dde1d1d3401bde4138c30721f51fa03b5b4a2e",
            "unstated by its publisher",
            "npz",
            "rupantara.models.mobilefacenet.from_published",
        ),
        *(
            Entry(
                name,
                file,
                "",
                "CC BY-NC 4.0 (VGG, Oxford)",
                layout,
                "rupantara.features.vggface_files.load_vggface",
                urls,
            )
            for name, file, layout, urls in VGGFACE
        ),
        Entry(
            "e4e",
            "e4e_ffhq_encode.pt",
            "",
            "MIT (Tov et al.); trained on FFHQ, CC BY-NC-SA 4.0",
            "torch",
            "rupantara.models.e4e.from_published",
        ),
        Entry(
            "vgg16",
            "vgg16-397923af.pth",
            "397923af",
            "BSD-3-Clause (torchvision)",
            "torch",
            "rupantara.models.vgg16.from_published",
            ("https://download.pytorch.org/models/vgg16-397923af.pth",),
        ),
        Entry(
            "vgg16_features",
            "vgg16_features.safetensors",
            "a0606ae48e5838fd6444b0c3105007fa554a81714ed9c937f2e1ca122c57b345",
            "BSD-3-Clause (torchvision); its convolutions alone, in half precision",
            "safetensors",
            "rupantara.models.vgg16.from_published",
        ),
        Entry(
            "alexnet",
            "alexnet-owt-7be5be79.pth",
            "7be5be79",
            "BSD-3-Clause (torchvision)",
            "torch",
            "rupantara.models.alexnet.from_published",
            ("https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",),
        ),
        Entry(
            "alexnet_features",
            "alexnet_features.safetensors",
            "9f97fd313f4da83dbe6bbfbe6effca1241de9edfcd7c53386261ed9697286dd9",
            "BSD-3-Clause (torchvision); its convolutions alone",
            "safetensors",
            "rupantara.models.alexnet.from_published",
        ),
        Entry(
            "squeezenet",
            "squeezenet_v1.1.npz",
            "177d5346e6812c2283088c4225790dc9dd7e3fc940a3589344d78b0e27c0be83",
            "BSD-2-Clause",
            "npz",
            "rupantara.models.squeezenet.from_published",
            (),
            "squeezenet_v1.1.safetensors",
            "ceb0e6f74ec026e6090582fd5ccb33f4f8b6c31dc21272c942a4b3a4dcda799d",
        ),
        Entry(
            "lpips_squeeze",
            "lpips_v0.1/squeeze.pth",
            "4a5350f23600cb79923ce65bb07cbf57dca461329894153e05a1346bd531cf76",
            "BSD-2-Clause",
            "torch",
            "rupantara.metrics.perceptual.load_heads",
            ("https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/master/lpips/weights/v0.1/squeeze.pth",),
        ),
    )
}
