"""Video features: the speaker's face cut out of the film, edges of it, and tables of facial action units."""

import os
from collections.abc import Sequence
from functools import lru_cache, partial
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from emolab import media
from emolab.corpora.corpus import Corpus, some
from emolab.corpora.degraded import COPY
from emolab.corpora.named import read_action_units
from emolab.features import base
from emolab.storage import weights_root

Pictures = NDArray[np.uint8]  # (frames, height, width, 3), red, green and blue from 0 to 255
Spot = tuple[float, ...]  # a face: x and y of its centre, width, pixels

FPS = 5.0  # pictures a second that are kept: a look lasts longer than a fifth of one
SIZE = 112  # pixels, width and height of a kept face
DETECTOR, DETECTOR_FILES = "EMOLAB_FACE_DETECTOR", "face_detection_yunet*.onnx"
SET = SimpleNamespace(**base.SETTINGS["video"])  # how faces are found, and what their edges are called


class Faces(NamedTuple):
    """The face of one utterance.

    Attributes:
        pictures: (frames, size, size, 3) uint8.
        left: Where the square lies in the speaker's part of the film's picture, pixels; the same for all frames.
        top: As `left`, from above.
        width: Width and height of the square, pixels of the film.
        found_by: "detector" (a model file), "cascade" (scikit-image's own), "centre" where neither saw a face, or
            "given" where it was held in memory.
    """

    pictures: Pictures
    left: int
    top: int
    width: int
    found_by: str


def clips_of(corpus: Corpus) -> list[media.Segment]:
    """Return where each utterance is to be seen; ValueError names the utterances without a film."""
    columns = corpus.table[["video_start", "video_end", "video_side"]].astype(object)
    places = columns.where(columns.notna(), None).itertuples(index=False, name=None)
    return [media.Segment(path, *place) for path, place in zip(corpus.video_paths(), places, strict=True)]


def read_clip(clip: media.Segment, *, fps: float | None = FPS) -> Pictures:
    """Decode the pictures of an utterance: the whole picture, or the half of it that shows the speaker.

    Raises:
        FileNotFoundError: If the film is missing.
        ValueError: If it cannot be decoded, is cut off, or shows nothing at that time.
    """
    frames = media.read_frames(clip.path, start=clip.start, end=clip.end, fps=fps)
    half = frames.shape[2] // 2
    return {"left": frames[:, :, :half], "right": frames[:, :, half:]}.get(clip.side or "", frames)


def find_face(frames: Pictures) -> tuple[int, int, int, str]:
    """Return left, top and width of the square around the face, and how it was found; one square for all frames.

    A face moves little within an utterance, and a square that stays shows how. It is looked for in three frames, and
    taken where two of them agree; if there is no such place, it is the largest square in the middle.
    """
    height, width = frames.shape[1:3]
    tried = frames[sorted({int(share * (len(frames) - 1)) for share in SET.tries})]
    passes = SET.passes if height > SET.passes[0][0] else SET.passes[:1]  # nothing more is seen in a small picture
    searches: list[Any] = [_by_detector, *(partial(_by_cascade, sizes=sizes) for sizes in passes)]
    for search in searches:
        if (spot := _agreed([spot for frame in tried for spot in search(frame)], len(tried))) is not None:
            side = min(round(SET.margin * spot[2]), height, width)
            left, top = (round(min(max(c - side / 2, 0), n - side)) for c, n in ((spot[0], width), (spot[1], height)))
            return left, top, side, "detector" if search is _by_detector else "cascade"
    side = min(height, width)
    return (width - side) // 2, (height - side) // 2, side, "centre"


def _agreed(spots: Sequence[Spot], n_tried: int) -> Spot | None:
    """Return the middle of the spots that agree with each other, the largest such group; None if it is too small."""
    group = max(([other for other in spots if _same(spot, other)] for spot in spots), key=len, default=[])
    return None if len(group) < min(SET.n_agreeing, n_tried) else tuple(np.median(group, axis=0).tolist())


def _same(one: Spot, other: Spot) -> bool:
    smaller, larger = sorted((one[2], other[2]))
    apart = max(abs(one[0] - other[0]), abs(one[1] - other[1]))
    return apart < SET.same_place * larger and smaller > SET.same_width * larger


def cut_out(frames: Pictures, left: int, top: int, width: int, *, size: int) -> Pictures:
    """Cut a square out of each frame and scale it: (frames, size, size, 3) uint8."""
    box, smooth = (left, top, left + width, top + width), Image.Resampling.BILINEAR  # with a filter against stairs
    return np.stack([np.asarray(Image.fromarray(frame).resize((size, size), smooth, box=box)) for frame in frames])


def faces(corpus: Corpus, *, size: int = SIZE, fps: float = FPS) -> list[Faces]:
    """Return the face of each utterance, cut out once and then taken from the cache.

    Args:
        corpus: Every utterance needs a film.
        size: Width and height to scale to, pixels.
        fps: Pictures a second; at the least, an utterance has one.

    Raises:
        ValueError: If utterances have no film, or films cannot be read; they are named.
        FileNotFoundError: If films are missing; they are named.
    """
    compute, version = partial(_face_of, size=size, fps=fps), _version(size, fps)
    return base.cached_features("faces", clips_of(corpus), compute, version=version)


def _version(size: int, fps: float) -> str:
    """Tell apart faces that were found, cut out or measured in another way."""
    return f"{base.source_digest(__file__, media.__file__)} {size=} {fps=} {_detector_file()}"


def _face_of(clip: media.Segment, *, size: int, fps: float) -> Faces:
    given = isinstance(clip.path, media.InMemoryMedia)
    frames = clip.path.content if given else read_clip(clip, fps=fps)
    place: tuple[int, int, int, str] = (0, 0, frames.shape[2], "given") if given else find_face(frames)
    return Faces(cut_out(frames, *place[:3], size=size), *place)


def _by_cascade(frame: Pictures, sizes: tuple[int, float, float]) -> list[Spot]:
    """Return the faces of a range of sizes that scikit-image's cascade finds."""
    searched, *shares = sizes
    scale = min(1.0, searched / len(frame))
    n_rows, n_columns = (max(1, round(scale * n)) for n in frame.shape[:2])
    smallest, largest = (min(round(share * n_rows), n_columns) for share in shares)
    if largest < SET.n_window:
        return []
    picture = np.asarray(Image.fromarray(frame).resize((n_columns, n_rows), Image.Resampling.BILINEAR))
    ends = {"min_size": (max(smallest, SET.n_window),) * 2, "max_size": (largest,) * 2}
    how = {"scale_factor": SET.step, "step_ratio": 1, "min_neighbor_number": SET.n_neighbours}
    found = _cascade().detect_multi_scale(picture, **how, **ends)
    boxes = [(box["c"] + box["width"] / 2, box["r"] + box["height"] / 2, box["width"]) for box in found]
    return [(x / scale, y / scale, width / scale) for x, y, width in boxes]


@lru_cache
def _cascade() -> Any:
    import skimage
    from skimage.feature import Cascade

    # the same as skimage.data.lbp_frontal_face_cascade_filename(), without all that skimage.data loads
    return Cascade(str(Path(skimage.__file__).with_name("data") / "lbpcascade_frontalface_opencv.xml"))


def _by_detector(frame: Pictures) -> list[Spot]:
    """Return the faces that OpenCV's YuNet finds; none without its model file."""
    if (file := _detector_file()) is None:
        return []
    import cv2

    detector = cv2.FaceDetectorYN.create(str(file), "", (frame.shape[1], frame.shape[0]))  # threads cannot share one
    found = detector.detect(np.ascontiguousarray(frame[:, :, ::-1]))[1]  # OpenCV wants blue first
    boxes = [] if found is None else found[:, :4].tolist()
    return [(left + width / 2, top + height / 2, max(width, height)) for left, top, width, height in boxes]


def _detector_file() -> Path | None:
    """Return the model file of YuNet, if it is at hand and OpenCV is installed.

    Raises:
        FileNotFoundError: If the environment variable names a file that is not there.
    """
    from importlib.util import find_spec

    named = os.environ.get(DETECTOR)
    if named and not Path(named).is_file():
        wrong = f"{DETECTOR} names {named}, which is no file; expected YuNet's model, such as {DETECTOR_FILES}."
        raise FileNotFoundError(f"{wrong} Correct the variable, or unset it to use scikit-image's cascade.")
    found = [Path(named)] if named else sorted(weights_root().rglob(DETECTOR_FILES))
    return found[-1] if found and find_spec("cv2") else None


class FaceFrames(base.Published):
    """The faces of an utterance, (frames, size, size, 3) uint8; they become floats only in the network.

    Args:
        size: Width and height of a face, pixels.
        fps: Pictures a second.
        published: weights, stand_in and small of `Published`, where the network has published weights.
    """

    modality = "video"

    def __init__(self, size: int = SIZE, fps: float = FPS, **published: Any) -> None:
        super().__init__(**published)
        self.options: dict[str, Any] = {"size": size, "fps": fps}
        self.hop_s = 1 / fps  # seconds from picture to picture

    def transform(self, corpus: Corpus) -> Any:
        """Return (frames, size, size, 3) uint8 for each utterance."""
        return [face.pictures for face in faces(corpus, **self.options)]

    def sizes(self) -> dict[str, Any]:
        """Return the width of a face, size, whether there are published weights, and the tiny network's other sizes."""
        known = {"pretrained": not self.stand_in} if self.weights else {}
        return {"size": self.options["size"], **known, **super().sizes()}


class FaceEdges(base.Scaled, FaceFrames):
    """How each picture of a face differs from the calm face, (frames, 108) float32 an utterance, scaled.

    The numbers are shares of the face's edges: 6 orientations in 18 places, averaged over both halves. A raised brow
    or a smile moves or tilts edges, while light, skin and the person change them little.

    Sources: histograms of oriented gradients, Dalal and Triggs 2005, with square roots; an expression as a change from
    the calm face that begins, is at its height and ends, Ekman and Friesen 1978. A face is taken to be calm where a
    clip begins and ends, as in acted films; a clip cut out of a conversation often begins in the middle of a look.
    """

    feature_names: Sequence[str] = [" ".join(place) for place in product(SET.regions, SET.zones, SET.slants)]

    def __init__(self, size: int = 48, fps: float = FPS) -> None:
        super().__init__(size, fps)

    def raw(self, corpus: Corpus) -> list[NDArray[np.float32]]:
        """Return the numbers before scaling, from the cache where they are there."""
        version = _version(**self.options)

        def compute(clip: media.Segment) -> NDArray[np.float32]:
            face = base.cached_array("faces", base.cache_key(version, clip), partial(_face_of, clip, **self.options))
            return change_from_calm(face_edges(face.pictures))

        return base.cached_features("face-edges", clips_of(corpus), compute, version=version)


class FaceFunctionals(FaceEdges):
    """The mean, most and least of `FaceEdges` over an utterance, (n_utterances, 324) float32, scaled."""

    is_matrix = True
    feature_names: Sequence[str] = [f"{own}, {how}" for how, own in product(SET.changes, FaceEdges.feature_names)]

    def raw(self, corpus: Corpus) -> list[NDArray[np.float32]]:
        """Return a row an utterance, before scaling."""
        levels = [1 - SET.few, SET.few]
        return [np.concatenate([rows.mean(0), *np.quantile(rows, levels, axis=0)]) for rows in super().raw(corpus)]


def face_edges(pictures: Pictures) -> NDArray[np.float32]:
    """Measure the edges in each part of a face, both halves as one.

    Args:
        pictures: (frames, size, size, 3), a face that fills the picture; at least 24 pixels wide.

    Returns:
        (frames, 108) float32 from 0 to 1: square roots of how strong each slant is in each place, the numbers of a
        picture taken together having length 1 before the root; all 0 where it is blank.

    Raises:
        ValueError: If the pictures are smaller.
    """
    n_rows, n_columns, n_slants = len(SET.regions), len(SET.zones), len(SET.slants)
    size = pictures.shape[1]
    if size < SET.smallest_face:
        raise ValueError(f"faces are {size} pixels wide; expected at least {SET.smallest_face}. Take a larger size.")
    down, right = np.gradient(pictures.mean(axis=3, dtype=np.float32), axis=(1, 2))
    strength, angle = np.hypot(down, right), np.arctan2(down, right) % np.pi * (n_slants / np.pi)
    tops = np.linspace(SET.face_top * size, SET.face_bottom * size, n_rows + 1).round().astype(int)
    sides = np.linspace(SET.face_side * size, size / 2, n_columns + 1).round().astype(int)
    areas = 2 * np.outer(np.diff(tops), np.diff(sides))  # pixels, of both halves
    cells = np.zeros((len(pictures), n_rows, n_columns, n_slants), np.float32)
    for slant in range(n_slants):
        apart = np.abs(angle - slant)
        edges = strength * np.clip(1 - np.minimum(apart, n_slants - apart), 0, None)  # an angle lies between two slants
        mirrored = -slant % n_slants  # what rises in one half falls in the picture's mirror image
        for half, place in ((edges, slant), (edges[:, :, ::-1], mirrored)):
            face = half[:, tops[0] : tops[-1], sides[0] : sides[-1]]
            sums = np.add.reduceat(face, tops[:-1] - tops[0], axis=1)
            cells[..., place] += np.add.reduceat(sums, sides[:-1] - sides[0], axis=2) / areas
    flat = cells.reshape(len(pictures), -1)
    return np.sqrt(flat / (np.linalg.norm(flat, axis=1, keepdims=True) + SET.faint))


def change_from_calm(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Subtract from (frames, n_features) the mean of a clip's beginning and end."""
    n_calm = max(1, round(SET.calm * len(rows)))
    return rows - np.concatenate([rows[:n_calm], rows[-n_calm:]]).mean(axis=0)


class ActionUnits(base.Scaled):
    """Facial action units of each film, from the corpus's action_units.csv: (n_utterances, 35) float32, scaled.

    Most films show little of most units, and a few show much: the square root spreads the small values out.
    """

    modality = "video"
    maskable = False
    is_matrix = True

    def has(self, corpus: Corpus) -> NDArray[np.bool_]:
        """Mask (n_utterances,): true unless video is hidden; no films are needed, and `table` says what has no row."""
        return np.full(len(corpus), "video" not in corpus.hidden)

    def table(self, corpus: Corpus) -> Any:
        """Return the table's rows as they are, (n_utterances, 35), a DataFrame.

        Raises:
            FileNotFoundError: If the corpus has no such table.
            ValueError: If utterances have no row; they are named.
        """
        table, names = read_action_units(corpus.root), corpus.table["utterance_id"].str.split(COPY).str[0]
        if missing := [name for name in names if name not in table.index]:
            why = f"{len(missing)} of {len(names)} utterances of corpus {corpus.name!r} have no row in its table:"
            raise ValueError(f"{why} {some(missing)}. Expected one for each. Measure those films, or leave them out.")
        return table.loc[names]

    def raw(self, corpus: Corpus) -> Any:
        """Return the square roots, (n_utterances, 35), before scaling."""
        return np.sqrt(self.table(corpus).to_numpy().clip(min=0))

    def fit(self, corpus: Corpus) -> None:
        """Learn names, mean and deviation of the units."""
        self.feature_names = list(self.table(corpus).columns)  # AU12_r: intensity, AU12_c: share of frames
        super().fit(corpus)
