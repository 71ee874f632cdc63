"""What Google publishes: the name of every model file, its size, its sha256, its licence and where it can be had.

Names are the published file names without their suffix (``pose_landmark_full``); the TensorFlow.js forms of the same
networks end in ``_tfjs``; BodyPix is named by its options (``bodypix_mobilenet_v1_075_quant2_stride16``).

TFLite files have a published sha256. Some come in a second form, the same network with a description of itself
appended, as the MediaPipe wheel carries it: both hashes are accepted. For TensorFlow.js models no hash is published;
what arrives first is recorded and every later use is held against that record (see ``store.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

__all__ = ["CATALOGUE", "PackagedFile", "PublishedModel"]


@dataclass(frozen=True, slots=True)
class PackagedFile:
    """A file inside a package that Google publishes on a package registry."""

    client: Literal["pip", "npm"]
    requirement: str
    """The package and its version as the client's command line takes them."""
    member: str
    """The file's path inside the package's archive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedModel:
    """One published model file; a TensorFlow.js model is a JSON file with weight files beside it."""

    name: str
    task: str
    description: str
    format: Literal["tflite", "tfjs"]
    address: str
    """The official address, of the JSON file for TensorFlow.js."""
    size: int | None = None
    """Bytes of the first of the accepted forms; None where nothing is published."""
    sha256: tuple[str, ...] = ()
    """Every accepted hash, lower-case hex; empty where none is published."""
    packages: tuple[PackagedFile, ...] = ()
    licence: str = "Apache-2.0"


_MEDIAPIPE_ASSETS = "https://storage.googleapis.com/mediapipe-assets/modules"
_MEDIAPIPE_WHEEL = "mediapipe==0.10.21"
_POSE_PACKAGE = "@mediapipe/pose@0.5.1675469404"
_SELFIE_PACKAGE = "@mediapipe/selfie_segmentation@0.1.1675465747"
_FACE_PACKAGE = "@mediapipe/face_detection@0.4.1646425229"

_TFLITE = (
    PublishedModel(
        name="pose_detection",
        task="person detection",
        description="BlazePose detector: where people are, 224×224",
        format="tflite",
        address=f"{_MEDIAPIPE_ASSETS}/pose_detection/pose_detection.tflite?generation=1782183650790966",
        size=2_962_288,
        sha256=(
            "a63c614bef30d35947f13be361820b1e4e3bec9cfeebf4d11216a18373108e85",
            "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
        ),
        packages=(
            PackagedFile("pip", _MEDIAPIPE_WHEEL, "mediapipe/modules/pose_detection/pose_detection.tflite"),
            # The web package wraps the detector as its only packed asset: the whole file is the network.
            PackagedFile("npm", _POSE_PACKAGE, "package/pose_solution_packed_assets.data"),
        ),
    ),
    PublishedModel(
        name="pose_landmark_lite",
        task="pose and mask",
        description="BlazePose GHUM lite: 33 keypoints and the person's mask, 256×256",
        format="tflite",
        address=f"{_MEDIAPIPE_ASSETS}/pose_landmark/pose_landmark_lite.tflite?generation=1782183674047673",
        size=2_819_824,
        sha256=("f17bfbecadb61c3be1baa8b8d851cc6619c870a87167b32848ad20db306b9d61",),
        packages=(PackagedFile("npm", _POSE_PACKAGE, "package/pose_landmark_lite.tflite"),),
    ),
    PublishedModel(
        name="pose_landmark_full",
        task="pose and mask",
        description="BlazePose GHUM full: 33 keypoints and the person's mask, 256×256",
        format="tflite",
        address=f"{_MEDIAPIPE_ASSETS}/pose_landmark/pose_landmark_full.tflite?generation=1782183658450386",
        size=6_440_512,
        sha256=("e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",),
        packages=(
            PackagedFile("pip", _MEDIAPIPE_WHEEL, "mediapipe/modules/pose_landmark/pose_landmark_full.tflite"),
            PackagedFile("npm", _POSE_PACKAGE, "package/pose_landmark_full.tflite"),
        ),
    ),
    PublishedModel(
        name="pose_landmark_heavy",
        task="pose and mask",
        description="BlazePose GHUM heavy: 33 keypoints and the person's mask, 256×256",
        format="tflite",
        address=f"{_MEDIAPIPE_ASSETS}/pose_landmark/pose_landmark_heavy.tflite?generation=1782183666398574",
        size=27_709_200,
        sha256=("59e42d71bcd44cbdbabc419f0ff76686595fd265419566bd4009ef703ea8e1fe",),
        packages=(PackagedFile("npm", _POSE_PACKAGE, "package/pose_landmark_heavy.tflite"),),
    ),
    PublishedModel(
        name="selfie_segmentation",
        task="mask",
        description="Selfie Segmentation general: the mask of all people, 256×256",
        format="tflite",
        address=f"{_MEDIAPIPE_ASSETS}/selfie_segmentation/selfie_segmentation.tflite?generation=1782183681393267",
        size=249_024,
        sha256=(
            "8d13b7fae74af625c641226813616a2117bd6bca19eb3b75574621fc08557f27",
            "9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c",
        ),
        packages=(
            PackagedFile("pip", _MEDIAPIPE_WHEEL, "mediapipe/modules/selfie_segmentation/selfie_segmentation.tflite"),
            PackagedFile("npm", _SELFIE_PACKAGE, "package/selfie_segmentation.tflite"),
        ),
    ),
    PublishedModel(
        name="selfie_segmentation_landscape",
        task="mask",
        description="Selfie Segmentation landscape: the mask of all people, 256 wide × 144 high",
        format="tflite",
        address=f"{_MEDIAPIPE_ASSETS}/selfie_segmentation/selfie_segmentation_landscape.tflite?generation=1782183688568628",
        size=249_792,
        sha256=(
            "4aafe6223bb8dac6fac8ca8ed56852870a33051ef3f6238822d282a109962894",
            "a77d03f4659b9f6b6c1f5106947bf40e99d7655094b6527f214ea7d451106edd",
        ),
        packages=(
            PackagedFile(
                "pip", _MEDIAPIPE_WHEEL, "mediapipe/modules/selfie_segmentation/selfie_segmentation_landscape.tflite"
            ),
            PackagedFile("npm", _SELFIE_PACKAGE, "package/selfie_segmentation_landscape.tflite"),
        ),
    ),
)


def _face_detector(kind: str, description: str, size: int, generation: int, sha256: tuple[str, str]) -> PublishedModel:
    name = f"face_detection_{kind}"
    return PublishedModel(
        name=name,
        task="face detection",
        description=f"Face detector {description}",
        format="tflite",
        address=f"{_MEDIAPIPE_ASSETS}/face_detection/{name}.tflite?generation={generation}",
        size=size,
        sha256=sha256,
        packages=(
            PackagedFile("pip", _MEDIAPIPE_WHEEL, f"mediapipe/modules/face_detection/{name}.tflite"),
            PackagedFile("npm", _FACE_PACKAGE, f"package/{name}.tflite"),
        ),
    )


_FACES = (
    _face_detector(
        "short_range",
        "for faces within 2 m, 128×128",
        229_032,
        1782183508198291,
        (
            "3bc182eb9f33925d9e58b5c8d59308a760f4adea8f282370e428c51212c26633",
            "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
        ),
    ),
    _face_detector(
        "full_range_sparse",
        "for faces within 5 m, 192×192",
        680_736,
        1782183500697062,
        (
            "671dd2f9ed11a78436fc21cc42357a803dfc6f73e9fb86541be942d5716c2dce",
            "2c3728e6da56f21e21a320433396fb06d40d9088f2247c05e5635a688d45dfe1",
        ),
    ),
)


def _tf_hub(name: str, task: str, description: str, path: str) -> PublishedModel:
    # TensorFlow.js itself adds this ending to an address of TensorFlow Hub.
    address = f"https://tfhub.dev/mediapipe/tfjs-model/{path}/model.json?tfjs-format=file"
    return PublishedModel(name=name, task=task, description=description, format="tfjs", address=address)


_TFJS = (
    _tf_hub(
        "blazepose_detector_tfjs",
        "person detection",
        "BlazePose detector as TensorFlow.js publishes it",
        "blazepose_3d/detector/1",
    ),
    *(
        _tf_hub(
            f"blazepose_{model_type}_tfjs",
            "pose and mask",
            f"BlazePose GHUM {model_type} as TensorFlow.js publishes it",
            f"blazepose_3d/landmark/{model_type}/2",
        )
        for model_type in ("lite", "full", "heavy")
    ),
    _tf_hub(
        "selfie_segmentation_tfjs",
        "mask",
        "Selfie Segmentation general as TensorFlow.js publishes it",
        "selfie_segmentation/general/1",
    ),
    _tf_hub(
        "selfie_segmentation_landscape_tfjs",
        "mask",
        "Selfie Segmentation landscape as TensorFlow.js publishes it",
        "selfie_segmentation/landscape/1",
    ),
)


def _bodypix(architecture: str, precision: str, stride: int, *, multiplier: str = "") -> PublishedModel:
    options = [option for option in (architecture, multiplier, precision, f"stride{stride}") if option]
    folder = "/".join(part for part in (architecture.removesuffix("_v1"), precision, multiplier) if part)
    return PublishedModel(
        name="_".join(["bodypix", *options]),
        task="body parts and poses",
        description=f"BodyPix {', '.join(options)}: 24 body parts, masks and poses of several people",
        format="tfjs",
        address=f"https://storage.googleapis.com/tfjs-models/savedmodel/bodypix/{folder}/model-stride{stride}.json",
    )


_PRECISIONS = ("float", "quant2", "quant1")

_BODYPIX = (
    *(
        _bodypix("mobilenet_v1", precision, stride, multiplier=multiplier)
        for multiplier in ("050", "075", "100")
        for precision in _PRECISIONS
        for stride in (8, 16, 32)
    ),
    *(_bodypix("resnet50", precision, stride) for precision in _PRECISIONS for stride in (16, 32)),
)

CATALOGUE: Mapping[str, PublishedModel] = MappingProxyType(
    {model.name: model for model in (*_TFLITE, *_FACES, *_TFJS, *_BODYPIX)}
)
"""Every model that this library knows by name."""
