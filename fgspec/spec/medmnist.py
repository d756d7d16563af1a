"""`data.source: medmnist`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fgspec.problems.problems import Problem
from fgspec.spec.base import PositiveInt, Unit, Values
from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.sources import MaybePath, Published, published_path, verified
from fgspec.yaml.load import Path

SIZES = (28, 64, 128, 224)
"""Height and width in pixels that the images were published in."""


@dataclass(frozen=True)
class MedSet:
    """One of the sets of MedMNIST, of two-dimensional images with one label each.

    Attributes:
        labels: the names of its classes.
        channels: colour channels.
        examples: numbers of training, validation and test images.
        md5: of its files, by the side of their images in pixels.
    """

    labels: tuple[str, ...]
    channels: int
    examples: tuple[int, int, int]
    md5: dict[int, str]


_ORGANS = (
    "bladder",
    "femur-left",
    "femur-right",
    "heart",
    "kidney-left",
    "kidney-right",
    "liver",
    "lung-left",
    "lung-right",
    "pancreas",
    "spleen",
)
# As the package medmnist states them in its version 3.0.2 (medmnist/info.py), which reads the
# files of zenodo.org/records/10519652. Earlier files of the organ sets differ in their images.
SETS = {
    "pathmnist": MedSet(
        (
            "adipose",
            "background",
            "debris",
            "lymphocytes",
            "mucus",
            "smooth muscle",
            "normal colon mucosa",
            "cancer-associated stroma",
            "colorectal adenocarcinoma epithelium",
        ),
        3,
        (89_996, 10_004, 7_180),
        {
            28: "a8b06965200029087d5bd730944a56c1",
            64: "55aa9c1e0525abe5a6b9d8343a507616",
            128: "ac42d08fb904d92c244187169d1fd1d9",
            224: "2c51a510bcdc9cf8ddb2af93af1eadec",
        },
    ),
    "dermamnist": MedSet(
        (
            "actinic keratoses and intraepithelial carcinoma",
            "basal cell carcinoma",
            "benign keratosis-like lesions",
            "dermatofibroma",
            "melanoma",
            "melanocytic nevi",
            "vascular lesions",
        ),
        3,
        (7_007, 1_003, 2_005),
        {
            28: "0744692d530f8e62ec473284d019b0c7",
            64: "b70a2f5635c6199aeaa28c31d7202e1f",
            128: "2defd784463fa5243564e855ed717de1",
            224: "8974907d8e169bef5f5b96bc506ae45d",
        },
    ),
    "octmnist": MedSet(
        ("choroidal neovascularization", "diabetic macular edema", "drusen", "normal"),
        1,
        (97_477, 10_832, 1_000),
        {
            28: "c68d92d5b585d8d81f7112f81e2d0842",
            64: "e229e9440236b774d9f0dfef9d07bdaf",
            128: "0a97e76651ace45c5d943ee3f65b63ae",
            224: "abc493b6d529d5de7569faaef2773ba3",
        },
    ),
    "pneumoniamnist": MedSet(
        ("normal", "pneumonia"),
        1,
        (4_708, 524, 624),
        {
            28: "28209eda62fecd6e6a2d98b1501bb15f",
            64: "8f4eceb4ccffa70c672198ea285246c6",
            128: "05b46931834c231683c68f40c47b2971",
            224: "d6a3c71de1b945ea11211b03746c1fe1",
        },
    ),
    "retinamnist": MedSet(
        ("0", "1", "2", "3", "4"),
        3,
        (1_080, 120, 400),
        {
            28: "bd4c0672f1bba3e3a89f0e4e876791e4",
            64: "afda852cc34dcda56f86ad2b2457dbcc",
            128: "e48e916a24454daf90583d4e6efb1a18",
            224: "eae7e3b6f3fcbda4ae613ebdcbe35348",
        },
    ),
    "breastmnist": MedSet(
        ("malignant", "normal, benign"),
        1,
        (546, 78, 156),
        {
            28: "750601b1f35ba3300ea97c75c52ff8f6",
            64: "742edef2a1fd1524b2efff4bd7ba9364",
            128: "363e4b3f8d712e9b5de15470a2aaadf1",
            224: "b56378a6eefa9fed602bb16d192d4c8b",
        },
    ),
    "bloodmnist": MedSet(
        (
            "basophil",
            "eosinophil",
            "erythroblast",
            "immature granulocytes(myelocytes, metamyelocytes and promyelocytes)",
            "lymphocyte",
            "monocyte",
            "neutrophil",
            "platelet",
        ),
        3,
        (11_959, 1_712, 3_421),
        {
            28: "7053d0359d879ad8a5505303e11de1dc",
            64: "2b94928a2ae4916078ca51e05b6b800b",
            128: "adace1e0ed228fccda1f39692059dd4c",
            224: "b718ff6835fcbdb22ba9eacccd7b2601",
        },
    ),
    "tissuemnist": MedSet(
        (
            "Collecting Duct, Connecting Tubule",
            "Distal Convoluted Tubule",
            "Glomerular endothelial cells",
            "Interstitial endothelial cells",
            "Leukocytes",
            "Podocytes",
            "Proximal Tubule Segments",
            "Thick Ascending Limb",
        ),
        1,
        (165_466, 23_640, 47_280),
        {
            28: "ebe78ee8b05294063de985d821c1c34b",
            64: "123ece2eba09d0aa5d698fda57103344",
            128: "61b955355d7425a89687b06cca3ce0c2",
            224: "b077128c4a949f0a4eb01517f9037b9c",
        },
    ),
    "organamnist": MedSet(
        _ORGANS,
        1,
        (34_561, 6_491, 17_778),
        {
            28: "68e3f8846a6bd62f0c9bf841c0d9eacc",
            64: "2dcccc29b88e6da5a01161ef20cda288",
            128: "eeae80d0a227a8d099027e1b3cfd3b60",
            224: "50747347e05c87dd3aaf92c49f9f3170",
        },
    ),
    "organcmnist": MedSet(
        _ORGANS,
        1,
        (12_975, 2_392, 8_216),
        {
            28: "b9ceb9546e10131b32923c5bbeaea2b1",
            64: "3ce34a8724ea6f548e6db4744d03b6a9",
            128: "773c1f009daa3fe5d9a2a201b2a7ed94",
            224: "050f5e875dc056f6768abf94ec9995d1",
        },
    ),
    "organsmnist": MedSet(
        _ORGANS,
        1,
        (13_932, 2_452, 8_827),
        {
            28: "9ab87b696fb54e2a387ebe992d6ed5f1",
            64: "53a6d115339d874c25e309a994ff46d3",
            128: "ded0c5fa01a95dc4978b956f613e9b8e",
            224: "b354719e553fbbb2513d5533f52a4cb1",
        },
    ),
}


class MedMnist(Published):
    """A set of MedMNIST, medical images of 28 to 224 pixels, from its published .npz file.

    These are the sets of two-dimensional images with one label each.
    """

    behaviour: ClassVar[str | None] = "fgspec.data.medmnist:MedMnist"
    title: ClassVar[str] = "MedMNIST"
    licence: ClassVar[str] = "CC BY 4.0; of dermamnist CC BY-NC 4.0"
    citation: ClassVar[str] = (
        "Yang et al. (2023), MedMNIST v2: a large-scale lightweight benchmark for 2D and 3D "
        "biomedical image classification, Scientific Data 10"
    )
    homepage: ClassVar[str] = "https://medmnist.com"

    type: Literal["medmnist"] = Field(
        default="medmnist", description="A set of MedMNIST, medical images."
    )
    name: Annotated[
        Literal[
            "pathmnist",
            "dermamnist",
            "octmnist",
            "pneumoniamnist",
            "retinamnist",
            "breastmnist",
            "bloodmnist",
            "tissuemnist",
            "organamnist",
            "organcmnist",
            "organsmnist",
        ],
        Values(
            {
                "pathmnist": "Tissue of the colon, 9 kinds, in colour.",
                "dermamnist": "Lesions of the skin, 7 diseases, in colour.",
                "octmnist": "Optical coherence tomography of the retina, 4 diagnoses, grey.",
                "pneumoniamnist": "X-rays of the chest, pneumonia or not, grey.",
                "retinamnist": "The fundus of the eye, 5 grades of retinopathy, in colour.",
                "breastmnist": "Ultrasound of the breast, malignant or not, grey.",
                "bloodmnist": "Cells of the blood, 8 kinds, in colour.",
                "tissuemnist": "Cells of the kidney, 8 kinds, grey.",
                "organamnist": "Computed tomography, 11 organs, axial, grey.",
                "organcmnist": "Computed tomography, 11 organs, coronal, grey.",
                "organsmnist": "Computed tomography, 11 organs, sagittal, grey.",
            }
        ),
    ] = Field(description="Which of the sets.", examples=["bloodmnist"])
    size: Annotated[PositiveInt, Unit("pixels")] = Field(
        default=28,
        description="Height and width of the images: 28, 64, 128 or 224.",
        examples=[64],
    )
    path: MaybePath = published_path(
        "medmnist",
        "The file `NAME.npz`, with the size behind the name if it is not 28 (`bloodmnist_64.npz`), "
        "or the folder that holds it. The package `medmnist` puts it into `~/.medmnist`, where it "
        "is looked for last.",
    )
    with_val: bool = Field(
        default=False,
        description="Whether the published validation images join the training images.",
        examples=[True],
    )
    verify: bool = verified("MD5 digest and number of examples")

    def as_published(self) -> DatasetInfo | None:
        """Nobody published mean and deviation."""
        return None

    def problems(self, at: Path) -> Iterator[Problem]:
        """The images were published in four sizes."""
        if self.size not in SIZES:
            known = ", ".join(map(str, SIZES))
            yield Problem((*at, "size"), f"must be one of {known} (got {self.size})", shows=False)
