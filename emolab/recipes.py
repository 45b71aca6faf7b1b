"""Named recipes: what each recognizer of the course is made of, and where trained ones are kept."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from emolab.corpora.ravdess import ACTION_UNITS
from emolab.features.base import FeatureExtractor, SoundFrames, SoundVector, Tfidf, Tokens
from emolab.features.cache import source_digest
from emolab.features.joined import AlignedFrames, Concatenated
from emolab.features.turns import DialogueContext
from emolab.features.video import ActionUnits, FaceEdges, FaceFrames, FaceFunctionals, PretrainedFaces
from emolab.late import How, LateFusion
from emolab.recognizer import LightRecognizer, NetworkRecognizer, Recognizer
from emolab.storage import cache_root

if TYPE_CHECKING:
    from emolab.corpora.corpus import Corpus
    from emolab.media import InMemoryMedia
    from emolab.splits import Fold

Preset = Literal["quick", "full"]
PRESETS: tuple[Preset, ...] = ("quick", "full")


@dataclass(frozen=True)
class Recipe:
    """How a recognizer is made.

    Attributes:
        name: Modality or fusion type, a slash, the model.
        about: One line for tables and help texts.
        build: Makes the unfitted recognizer from its name, a preset and a seed.
    """

    name: str
    about: str
    build: Callable[[str, Preset, int], Recognizer]


def recipe(name: str, *, preset: Preset = "quick", seed: int = 7, weights: str | None = None) -> Recognizer:
    """Make the unfitted recognizer of a recipe.

    Args:
        name: A key of `RECIPES`.
        preset: "quick" is small and offline, with stand-ins of large encoders; "full" takes published weights.
        seed: Of everything random.
        weights: Name or folder of published weights to take in the place of the recipe's own, or of its stand-in.

    Raises:
        KeyError: If there is no such recipe; the message lists those there are.
        ValueError: If the preset is unknown, or the recipe has no place for weights.
    """
    if name not in RECIPES:
        close = get_close_matches(name, RECIPES, n=5, cutoff=0.3) or list(RECIPES)[:5]
        raise KeyError(
            f"no recipe {name!r}; expected a key of emolab.recipes.RECIPES. Did you mean {', '.join(close)}?"
        )
    if preset not in PRESETS:
        raise ValueError(f"no preset {preset!r}; expected one of {', '.join(PRESETS)}.")
    made = RECIPES[name].build(name, preset, seed)
    return _with_weights(made, weights) if weights else made


def _with_weights(recognizer: Recognizer, weights: str) -> Recognizer:
    """Put other published weights in the place of those of a recipe's only encoder, else word vectors under words."""
    members = [recognizer, *getattr(recognizer, "members", ())]
    features: list[Any] = [extractor for member in members for extractor in member.features]
    features = [
        part
        for extractor in features
        for part in getattr(extractor, "features", [extractor])
        if hasattr(part, "weights")
    ]
    features = [
        extractor for extractor in features if extractor.weights
    ] or features  # encoders bring their own, word vectors need not
    if len(features) != 1:
        raise ValueError(
            f"{recognizer.name} has {len(features)} pretrained encoders; expected one that takes weights={weights!r}. "
            "Take a recipe such as text/bert, or leave the weights out."
        )
    features[0].weights, features[0].stand_in = weights, False
    for member in members:
        member.stand_in = False
    return recognizer


def fit_or_load(
    name: str, fold: Fold, *, preset: Preset = "quick", seed: int = 7, weights: str | None = None
) -> Recognizer:
    """Load the recognizer that was trained on this fold before, or train it now and keep it.

    Chapters may do this side by side: what is kept is whole or not there at all. A network whose training was killed
    goes on after its last whole epoch.
    """
    folder = kept_in(name, fold, preset=preset, seed=seed, weights=weights)
    try:
        return Recognizer.load(folder)
    except (FileNotFoundError, ValueError):  # not there, damaged, or of an older version
        recognizer = recipe(name, preset=preset, seed=seed, weights=weights)
        if isinstance(recognizer, NetworkRecognizer):
            recognizer.folder = folder.with_name(f"{folder.name}.unfinished")
        recognizer.fit(fold.train, fold.valid)
        recognizer.save(folder)
        shutil.rmtree(folder.with_name(f"{folder.name}.unfinished"), ignore_errors=True)
        return recognizer


def kept_in(name: str, fold: Fold, *, preset: Preset, seed: int, weights: str | None = None) -> Path:
    """Return the folder in which `fit_or_load` keeps a recognizer; it changes with all that training depends on."""
    facts = [_code_version(), name, preset, str(seed), weights or ""]
    facts += [*_fingerprint(fold.train), *_fingerprint(fold.valid)]
    key = hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]
    return cache_root() / "recognizers" / fold.train.name / f"{name.replace('/', '-')}-{key}"


@lru_cache
def _code_version() -> str:
    """Tell the code that makes and trains recognizers: when it changes, what was kept is not taken."""
    folder = Path(__file__).parent
    files = [*folder.glob("models/*.py"), *folder.glob("features/*.py"), *folder.glob("rec*.py")]
    files += [folder / name for name in ("training.py", "examples.py", "media.py", "late.py")]
    known = ("numpy", "scikit-learn", "torch", "transformers")  # what another version wrote may not be readable
    libraries = [version(name) for name in known]
    return " ".join([source_digest(*map(str, sorted(files))), *libraries])


def _fingerprint(corpus: Corpus) -> list[str]:
    """Name everything in a part that training sees: labels, words, and the files as they are on disk."""
    names = [
        "utterance_id",
        "dialogue_id",
        "turn",
        "speaker",
        "emotion",
        "text",
        "audio_path",
        "video_path",
        "video_start",
        "video_end",
        "video_side",
    ]
    columns = corpus.table[names].astype(object).fillna("")
    rows = ["\t".join(map(str, row)) for row in columns.itertuples(index=False)]
    paths = dict.fromkeys([*corpus.table["audio_path"].dropna(), *corpus.table["video_path"].dropna(), ACTION_UNITS])
    files = [corpus.root / path for path in paths]
    stats = [path.stat() for path in files if path.is_file()]  # recipes that need the others say what is missing
    in_memory = [digest for kind in sorted(corpus.in_memory) for digest in _digests(corpus.in_memory[kind], corpus)]
    return [*corpus.emotions, *rows, *(f"{stat.st_size} {stat.st_mtime_ns}" for stat in stats), *in_memory]


def _digests(in_memory: Mapping[str, InMemoryMedia], corpus: Corpus) -> list[str]:
    """Name what is held in memory for the utterances of a part."""
    names = [name for name in corpus.table["utterance_id"] if name in in_memory]
    return [f"{name} {hashlib.sha256(in_memory[name].content.tobytes()).hexdigest()}" for name in names]


Build = Callable[[str, Preset, int], Recognizer]
Fronts = Callable[[], list[FeatureExtractor]]


def _light(features: Fronts, model: str) -> Build:
    def build(name: str, preset: Preset, seed: int) -> Recognizer:
        from emolab.models import light

        return LightRecognizer(name, features(), lambda: light.GRIDS[model](seed))

    return build


def _network(
    features: Fronts, spec: Mapping[str, Any], *, quick: int, full: int, augment: bool = False, **how: Any
) -> Build:
    """Make a recipe of a network; `quick` and `full` are the epochs of either preset, `how` changes `TRAINING`."""

    def build(name: str, preset: Preset, seed: int) -> Recognizer:
        from emolab.examples import AudioAugmentation
        from emolab.training import TrainingConfig

        config = TrainingConfig(n_epochs=quick if preset == "quick" else full, **{**TRAINING, **how})
        changes = AudioAugmentation(**CHANGES[preset]) if augment else None
        return NetworkRecognizer(name, features(), spec, config, seed=seed, augment=changes)

    return build


def _pretrained(
    extractor: str, weights: str, *, quick: int, full: int, spec: Mapping[str, Any] | None = None, **how: Any
) -> Build:
    """Make a recipe of a published encoder: `extractor` knows it, `quick` trains a stand-in, `how` is for full only."""

    def build(name: str, preset: Preset, seed: int) -> Recognizer:
        from emolab.features import pretrained, vggish
        from emolab.training import TrainingConfig

        makers = {"VggishExamples": vggish, **dict.fromkeys(KIND_OF, pretrained)}
        stand_in = preset == "quick"
        options = {"max_s": LONGEST_S[preset]} if extractor == "Waveforms" else {}
        made = getattr(makers[extractor], extractor)(weights, stand_in=stand_in, seed=seed, **options)
        rates = FROZEN if extractor.startswith("Frozen") else TUNED_STAND_IN if stand_in else {**TUNED, **how}
        config = TrainingConfig(n_epochs=quick if stand_in else full, **{**TRAINING, **rates})
        parts = {"kind": KIND_OF.get(extractor, "vggish"), **(spec or {})}
        return NetworkRecognizer(name, [made], parts, config, seed=seed, stand_in=stand_in)

    return build


def _faces(
    spec: Mapping[str, Any],
    *,
    quick: int,
    full: int,
    weights: str | None = None,
    small: Mapping[str, Any] | None = None,
    **how: Any,
) -> Build:
    """Make a recipe of a network that sees faces; with published `weights`, `quick` takes a stand-in that `small`."""

    def build(name: str, preset: Preset, seed: int) -> Recognizer:
        from emolab.examples import FaceAugmentation
        from emolab.training import TrainingConfig

        stand_in = preset == "quick" and weights is not None
        extractor: FeatureExtractor = FaceFrames(**FACES["quick"])
        if weights:
            extractor = PretrainedFaces(weights, stand_in=stand_in, small=small, **FACES[preset])
        rates = TUNED if weights and not stand_in else {}
        config = TrainingConfig(n_epochs=quick if preset == "quick" else full, **{**TRAINING, **rates, **how})
        augment = FaceAugmentation() if preset == "full" else None  # pays only when there are epochs enough
        return NetworkRecognizer(name, [extractor], spec, config, seed=seed, augment=augment, stand_in=stand_in)

    return build


def _train_on_validation(build: Build) -> Build:
    """Let a recipe in which nothing is chosen learn from the validation part as well."""

    def built(name: str, preset: Preset, seed: int) -> Recognizer:
        made = build(name, preset, seed)
        made.train_on_validation = True
        return made

    return built


def _conversation(reach: Mapping[str, int], *, context: str = "recurrent", words: bool = True) -> Build:
    """Make a recipe that hears turns around the judged one: words through a frozen encoder, or sound and words."""

    def build(name: str, preset: Preset, seed: int) -> Recognizer:
        from emolab.training import TrainingConfig

        stand_in = words and preset == "quick"
        features = [_said_words(stand_in, seed)] if words else _dense_sound_and_terms()
        spec = {"kind": "conversation", "context": context}
        config = TrainingConfig(n_epochs=12 if preset == "quick" else 20, **{**TRAINING, **TALK})
        turns = DialogueContext(features, before=reach.get("before", 0), after=reach.get("after", 0))
        return NetworkRecognizer(name, [turns], spec, config, seed=seed, stand_in=stand_in)

    return build


def _averaged(build: Build, n: int) -> Build:
    """Make a recipe that averages `n` of another, from as many seeds."""

    def built(name: str, preset: Preset, seed: int) -> Recognizer:
        return LateFusion(name, [build(name, preset, seed + NEXT_SEED * place) for place in range(n)])

    return built


def _late(*members: str, how: How = "mean", calibrated: bool = False) -> Build:
    def build(name: str, preset: Preset, seed: int) -> Recognizer:
        made = [recipe(member, preset=preset, seed=seed) for member in members]
        return LateFusion(name, made, how, calibrated=calibrated)

    return build


def _hybrid(
    join: str, *members: str | Build, quick: int, full: int, train_on_validation: bool = False, **how: Any
) -> Build:
    """Make a recipe that joins the encoders of other recipes' networks; `how` changes `JOINED` and `TRAINING`."""

    def build(name: str, preset: Preset, seed: int) -> Recognizer:
        from emolab.training import TrainingConfig

        builds = [RECIPES[member].build if isinstance(member, str) else member for member in members]
        made: list[Any] = [each(name, preset, seed) for each in builds]
        sizes = {**JOINED, **{option: how[option] for option in how if option in JOINED}}
        spec = {"kind": "fusion", "join": join, "encoders": [member.spec for member in made], **sizes}
        rates = {**TRAINING, "encoder_rate": min(member.config.encoder_rate for member in made)}
        rates |= {option: value for option, value in how.items() if option not in JOINED}
        config = TrainingConfig(n_epochs=quick if preset == "quick" else full, **rates)
        options = {"augment": made[0].augment, "stand_in": any(member.stand_in for member in made)}
        fused = NetworkRecognizer(
            name, [f for member in made for f in member.features], spec, config, seed=seed, **options
        )
        fused.train_on_validation = train_on_validation
        return fused

    return build


def _functionals() -> list[FeatureExtractor]:
    return [SoundVector("functionals")]


def _functionals_of_more_voices() -> list[FeatureExtractor]:
    return [SoundVector("functionals", speeds=SPEEDS)]


def _classical() -> list[FeatureExtractor]:
    return [SoundVector("classical8")]


def _egemaps() -> list[FeatureExtractor]:
    from emolab.features.egemaps import EgemapsVector

    return [EgemapsVector()]


def _action_units() -> list[FeatureExtractor]:
    return [ActionUnits()]


def _face_statistics() -> list[FeatureExtractor]:
    return [FaceFunctionals()]


def _term_weights() -> list[FeatureExtractor]:
    return [Tfidf()]


def _term_and_character_weights() -> list[FeatureExtractor]:
    return [Tfidf(), Tfidf(characters=(2, 4), min_count=3)]


def _said_words(stand_in: bool, seed: int) -> FeatureExtractor:
    from emolab.features.pretrained import TextHiddenStates

    return TextHiddenStates(MINILM, stand_in=stand_in, seed=seed)


def _dense_term_weights() -> list[FeatureExtractor]:
    return [Concatenated(_term_weights(), scaled=True, dense=True)]


def _sound_and_terms() -> list[FeatureExtractor]:
    return [Concatenated(_functionals() + _term_weights(), scaled=True)]


def _sound_terms_and_faces() -> list[FeatureExtractor]:
    return [Concatenated(_functionals() + _term_weights() + _face_statistics(), scaled=True)]


def _sound_and_units() -> list[FeatureExtractor]:
    return [Concatenated(_functionals_of_more_voices() + _action_units())]


def _dense_sound_and_terms() -> list[FeatureExtractor]:
    return [Concatenated(_functionals() + _term_weights(), scaled=True, dense=True)]


def _dense_sound_terms_and_faces() -> list[FeatureExtractor]:
    return [Concatenated(_functionals() + _term_weights() + _face_statistics(), scaled=True, dense=True)]


def _mfccs_and_faces() -> list[FeatureExtractor]:
    return [AlignedFrames([*_mfccs(), FaceEdges()], hop_s=CLOCK_S)]


def _mfccs() -> list[FeatureExtractor]:
    return [SoundFrames("mfcc", hop_s=MFCC_HOP_S)]


def _chroma() -> list[FeatureExtractor]:
    return [SoundFrames("chroma", hop_s=MFCC_HOP_S)]


def _log_mels() -> list[FeatureExtractor]:
    return [SoundFrames("log-mel", hop_s=MEL_HOP_S)]


def _word_tokens() -> list[FeatureExtractor]:
    return [Tokens()]


NEXT_SEED = 1000  # apart, so that neighbouring seeds share no member
MFCC_HOP_S = 0.032  # seconds, 512 samples, as the recipe was published
MEL_HOP_S = 0.020  # seconds; the network shortens time itself
CLOCK_S = 2 * MFCC_HOP_S  # seconds; fine enough for a voice, and a face at 5 pictures a second is repeated three times
TRAINING: Mapping[str, Any] = {  # few utterances: small steps, a rate that falls to nothing, and all epochs compete
    "batch_size": 16,
    "schedule": "cosine",
    "warm_up": 0.1,
    "label_smoothing": 0.1,
    "choose_by": "ua",
    "patience": None,
}
KIND_OF = {
    "AudioHiddenStates": "layer-head",
    "TextHiddenStates": "layer-head",
}  # which network is put on which front end
KIND_OF |= {"Waveforms": "sound-encoder", "Subwords": "text-encoder"}
LONGEST_S: Mapping[Preset, float] = {"quick": 2.0, "full": 15.0}  # seconds of sound that encoders are fine-tuned on
FROZEN: Mapping[str, Any] = {"batch_size": 32, "learning_rate": 1e-3}
TUNED: Mapping[str, Any] = {"batch_size": 32, "learning_rate": 1e-3, "encoder_rate": 0.03}  # so 3e-5 for the encoder
SMALL: Mapping[str, Any] = {"encoder_rate": 0.1, "label_smoothing": 0.0, "cpu_bfloat16": True}  # a small encoder
TUNED_STAND_IN: Mapping[str, Any] = {"batch_size": 16, "learning_rate": 2e-3}  # all of it is small and new
WAV2VEC2, HUBERT, WAVLM = "facebook/wav2vec2-base", "facebook/hubert-base-ls960", "microsoft/wavlm-base"
ALBERT, BERT, MINILM = "albert-base-v2", "bert-base-cased", "sentence-transformers/all-MiniLM-L6-v2"
VGGISH = "vggish-10086976.pth"
CHANGES: Mapping[Preset, Mapping[str, Any]] = {  # strong changes pay only when there are epochs enough to get used to
    "quick": {"n_stretches": 1, "max_stretch": 10, "n_bands": 1, "max_bands": 6, "max_shift": 2, "max_tempo": 0.1},
    "full": {"n_stretches": 2, "n_bands": 2, "max_shift": 4, "max_tempo": 0.15},
}
UNITS: Mapping[str, Any] = {"batch_size": 64, "learning_rate": 3e-3, "choose_by": "last"}
FACES: Mapping[Preset, Mapping[str, Any]] = {"quick": {"size": 48, "fps": 5.0}, "full": {"size": 112, "fps": 10.0}}
RESNET, I3D = "resnet18-f37072fd.pth", "rgb_imagenet.pt"  # as torchvision and the published I3D call their files
SMALL_RESNET = {"channels": (8, 16, 24, 32), "n_blocks": 1, "d_model": 32, "n_layers": 1, "n_ff": 64}
CNN_BILSTM = {"kind": "cnn-bilstm", "normalization": "batch", "summary": "attention", "dropout": 0.3}
AUDIO_LSTM = {"kind": "lstm", "summary": "attention"}
CHROMA_SIZES = {"channels": (24, 24, 48, 48, 96, 96), "n_hidden": 96}  # 2, 4 and 8 times the features, as for MFCC
SPEEDS = (0.92, 1.08)  # of the voices that training hears as well
MLP = {"kind": "mlp", "n_hidden": (512, 256), "input_dropout": 0.5, "dropout": 0.6}  # many features, few utterances
UNITS_MLP = {"kind": "mlp", "n_hidden": (256, 256), "input_dropout": 0.2, "dropout": 0.5}
TALK: Mapping[str, Any] = {"batch_size": 64, "weight_decay": 0.05, "choose_by": "last"}
AROUND: Mapping[str, tuple[str, Mapping[str, int]]] = {  # what is heard of a conversation
    "alone": ("one turn at a time", {}),
    "causal": ("eight turns before as well", {"before": 8}),
    "future": ("eight turns before and eight after, which nobody has live", {"before": 8, "after": 8}),
}
WORDS_MLP = {"kind": "mlp", "n_hidden": (128,), "input_dropout": 0.5, "dropout": 0.5}
FACES_MLP = {"kind": "mlp", "n_hidden": (128,), "input_dropout": 0.3, "dropout": 0.5}
MLP_TRAINING: Mapping[str, Any] = {"batch_size": 32, "learning_rate": 7e-4, "weight_decay": 0.3, "choose_by": "last"}
JOINED_MLP = {"kind": "mlp", "n_hidden": (256, 128), "input_dropout": 0.5, "dropout": 0.5}
JOINED_TRAINING: Mapping[str, Any] = {**MLP_TRAINING, "learning_rate": 2e-3}
CLOCK_SIZES = {"channels": (48, 48, 64, 64), "strides": (1, 2, 1, 2), "n_hidden": 48, "n_layers": 1, "n_dense": 64}
MEL_SIZES = {"channels": (64, 64, 96, 96, 128, 128), "n_hidden": 96, "n_layers": 1, "n_dense": 128}
BILSTM = {"kind": "word-lstm", "summary": "attention", "dropout": 0.5}
LSTM_SIZES = {"n_embedding": 128, "n_hidden": 128, "n_layers": 1, "n_dense": 64}
LSTM = {**BILSTM, **LSTM_SIZES, "both_ways": False, "dropout": 0.3}
JOINED: Mapping[str, Any] = {
    "n_joined": 128,
    "n_dense": 128,
    "dropout": 0.3,
    "modality_dropout": 0.2,
    "auxiliary": True,
}
JOINS: Mapping[str, str] = {  # the names of `emolab.models.fusion.JOINS`, and what tables say of them
    "concat": "summaries side by side",
    "add": "summaries added up",
    "gated": "summaries weighed anew for each utterance",
    "tensor": "summaries multiplied, low rank",
    "cross-attention": "each modality asks the steps of the others",
    "transformer": "a Transformer over the modalities",
}
LIGHT_JOIN: Mapping[str, Any] = {"quick": 12, "full": 24, "train_on_validation": True, **MLP_TRAINING}
SOUND_ENCODER = _network(_functionals_of_more_voices, MLP, quick=8, full=24)
WORD_ENCODER = _network(_dense_term_weights, WORDS_MLP, quick=8, full=24)
FACE_ENCODER = _network(_face_statistics, FACES_MLP, quick=8, full=24)
UNITS_ENCODER = _network(_action_units, UNITS_MLP, quick=20, full=100)
PAIRS: Mapping[str, tuple[Sequence[str | Build], Mapping[str, Any]]] = {  # what is joined, and how it is trained
    "cnn-bilstm+bilstm": (("audio/cnn-bilstm", "text/bilstm"), {"quick": 12, "full": 60}),
    "cnn-bilstm+albert": (("audio/cnn-bilstm", "text/albert-frozen"), {"quick": 12, "full": 60}),
    "wav2vec2+bilstm": (("audio/wav2vec2-frozen", "text/bilstm"), {"quick": 12, "full": 40}),
    "vggish+bert": (("audio/vggish", "text/bert"), {"quick": 5, "full": 10}),
    "wav2vec2+resnet-transformer": (("audio/wav2vec2", "video/resnet-transformer"), {"quick": 4, "full": 15}),
    "statistics+words": ((SOUND_ENCODER, WORD_ENCODER), LIGHT_JOIN),
    "statistics+words+faces": ((SOUND_ENCODER, WORD_ENCODER, FACE_ENCODER), LIGHT_JOIN),
    "statistics+action-units": ((SOUND_ENCODER, UNITS_ENCODER), LIGHT_JOIN),
    "cnn-bilstm+bilstm+cnn": (("audio/cnn-bilstm", "text/bilstm", "video/cnn"), {"quick": 10, "full": 60}),
}
WAYS: Mapping[str, tuple[str, Mapping[str, Any]]] = {  # to make one answer of several
    "late": ("probabilities averaged", {}),
    "product": ("calibrated probabilities multiplied", {"how": "product", "calibrated": True}),
    "weighted": ("calibrated probabilities weighed", {"how": "weighted", "calibrated": True}),
    "stacked": ("a linear model judges the answers", {"how": "stacked", "calibrated": True}),
}
JUDGES: Mapping[str, Sequence[Any]] = {  # recipes that judge for themselves; the pairs of networks among them
    **{pair: members for pair, (members, _) in PAIRS.items() if all(isinstance(member, str) for member in members)},
    "mlp+characters": ("audio/mlp", "text/characters"),
    "ensemble+characters": ("audio/ensemble", "text/characters"),
    "ensemble+characters+faces": ("audio/ensemble", "text/characters", "video/discriminant"),
    "ensembles": ("audio/ensemble", "text/ensemble"),
    "ensembles+faces": ("audio/ensemble", "text/ensemble", "video/discriminant"),
    "ensemble+action-units": ("audio/ensemble", "video/action-units"),
    "every-type+action-units": (  # each sense alone, and both joined before and in the middle
        "audio/ensemble",
        "video/action-units",
        "fusion/early/discriminant+action-units",
        "fusion/tensor/statistics+action-units",
    ),
}
FITTED = (  # joined in all ways; the others by an average alone
    "ensemble+characters",
    "ensemble+characters+faces",
    "ensembles",
    "ensembles+faces",
    "ensemble+action-units",
    "every-type+action-units",
)


RECIPES: Mapping[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe("audio/logistic-regression", "sound statistics, linear", _light(_functionals, "logistic-regression")),
        Recipe("audio/random-forest", "sound statistics, trees", _light(_functionals, "random-forest")),
        Recipe("audio/svm", "sound statistics, kernel machine", _light(_functionals, "svm")),
        Recipe(
            "audio/classical-logistic-regression",
            "8 numbers of early work, linear",
            _light(_classical, "few-logistic-regression"),
        ),
        Recipe("audio/classical-random-forest", "8 numbers of early work, trees", _light(_classical, "random-forest")),
        Recipe("audio/egemaps-svm", "88 numbers of openSMILE, if installed", _light(_egemaps, "svm")),
        Recipe(
            "audio/discriminant",
            "sound statistics of voices at three speeds, linear",
            _train_on_validation(_light(_functionals_of_more_voices, "discriminant")),
        ),
        Recipe(
            "audio/mlp",
            "the same statistics, two dense layers",
            _train_on_validation(_network(_functionals_of_more_voices, MLP, quick=8, full=24, **MLP_TRAINING)),
        ),
        Recipe("audio/ensemble", "both, averaged", _late("audio/discriminant", "audio/mlp")),
        Recipe("audio/cnn-bilstm", "20 MFCCs, published sizes", _network(_mfccs, CNN_BILSTM, quick=8, full=80)),
        Recipe(
            "audio/cnn-bilstm-mel",
            "64 mel bands, a third of the size, augmented",
            _network(_log_mels, {**CNN_BILSTM, **MEL_SIZES}, quick=8, full=100, augment=True),
        ),
        Recipe(
            "audio/cnn-bilstm-chroma",
            "12 pitch classes, published sizes",
            _network(_chroma, {**CNN_BILSTM, **CHROMA_SIZES}, quick=8, full=80),
        ),
        Recipe(
            "audio/cnn-2d",
            "64 mel bands as a picture, augmented",
            _network(_log_mels, {"kind": "cnn-2d"}, quick=8, full=80, augment=True),
        ),
        Recipe("audio/lstm", "20 MFCCs, one way", _network(_mfccs, AUDIO_LSTM, quick=8, full=80, learning_rate=3e-3)),
        Recipe("text/logistic-regression", "TF-IDF, linear", _light(_term_weights, "word-logistic-regression")),
        Recipe("text/random-forest", "TF-IDF, trees", _light(_term_weights, "random-forest")),
        Recipe("text/svm", "TF-IDF, wide margins", _light(_term_weights, "word-svm")),
        Recipe(
            "text/characters",
            "TF-IDF of words and of runs of characters, wide margins",
            _light(_term_and_character_weights, "word-svm"),
        ),
        Recipe("text/ensemble", "wide margins and trees, averaged", _late("text/characters", "text/random-forest")),
        Recipe(
            "text/lstm",
            "one way, a tenth of the size",
            _network(_word_tokens, LSTM, quick=8, full=5, choose_by="loss", learning_rate=5e-3),
        ),
        Recipe(
            "text/bilstm",
            "word vectors learned on the spot",
            _network(_word_tokens, BILSTM, quick=8, full=5, choose_by="loss", batch_size=32, learning_rate=2e-3),
        ),
        Recipe(
            "audio/wav2vec2-frozen", "layers averaged", _pretrained("AudioHiddenStates", WAV2VEC2, quick=60, full=40)
        ),
        Recipe("audio/hubert-frozen", "layers averaged", _pretrained("AudioHiddenStates", HUBERT, quick=60, full=40)),
        Recipe("audio/wavlm-frozen", "layers averaged", _pretrained("AudioHiddenStates", WAVLM, quick=60, full=40)),
        Recipe(
            "audio/wav2vec2",
            "last two blocks trained",
            _pretrained("Waveforms", WAV2VEC2, quick=4, full=15, spec={"n_trained": 2}),
        ),
        Recipe("audio/wav2vec2-all", "all blocks trained", _pretrained("Waveforms", WAV2VEC2, quick=4, full=15)),
        Recipe("audio/vggish", "pictures of 3 s", _pretrained("VggishExamples", VGGISH, quick=5, full=20)),
        Recipe("text/albert-frozen", "layers averaged", _pretrained("TextHiddenStates", ALBERT, quick=60, full=30)),
        Recipe("text/bert-frozen", "layers averaged", _pretrained("TextHiddenStates", BERT, quick=60, full=30)),
        Recipe("text/minilm-frozen", "layers averaged", _pretrained("TextHiddenStates", MINILM, quick=60, full=30)),
        Recipe("text/albert", "all of it trained", _pretrained("Subwords", ALBERT, quick=12, full=4)),
        Recipe("text/bert", "all of it trained", _pretrained("Subwords", BERT, quick=12, full=4)),
        Recipe("text/minilm", "all of it trained", _pretrained("Subwords", MINILM, quick=12, full=3, **SMALL)),
        Recipe(
            "video/logistic-regression",
            "changes of the face's edges, linear",
            _light(_face_statistics, "logistic-regression"),
        ),
        Recipe("video/discriminant", "the same changes, linear", _light(_face_statistics, "discriminant")),
        Recipe(
            "video/cnn",
            "a small network for each face, attention over them",
            _faces({"kind": "face-cnn", "dropout": 0.3}, quick=8, full=40, learning_rate=3e-3),
        ),
        Recipe(
            "video/resnet-transformer",
            "ResNet-18 for each face, a Transformer over them",
            _faces({"kind": "resnet-transformer"}, quick=4, full=20, weights=RESNET, small=SMALL_RESNET),
        ),
        Recipe(
            "video/i3d",
            "patterns in time and space",
            _faces({"kind": "i3d"}, quick=4, full=20, weights=I3D, small={"width": 0.125}),
        ),
        Recipe(
            "video/action-units-svm",
            "measured faces, kernel machine",
            _train_on_validation(_light(_action_units, "units-svm")),
        ),
        Recipe(
            "video/action-units-mlp",
            "measured faces, five networks averaged",
            _averaged(_train_on_validation(_network(_action_units, UNITS_MLP, quick=20, full=100, **UNITS)), 5),
        ),
        Recipe(
            "video/action-units",
            "measured faces, networks and kernel machine averaged",
            _late("video/action-units-mlp", "video/action-units-svm"),
        ),
        Recipe(
            "fusion/early/logistic-regression",
            "sound statistics beside TF-IDF, linear",
            _light(_sound_and_terms, "joined-logistic-regression"),
        ),
        Recipe(
            "fusion/early/logistic-regression+faces",
            "the same, and changes of the face's edges, linear",
            _light(_sound_terms_and_faces, "joined-logistic-regression"),
        ),
        Recipe(
            "fusion/early/discriminant+action-units",
            "sound statistics at three speeds beside measured faces, linear",
            _train_on_validation(_light(_sound_and_units, "discriminant")),
        ),
        Recipe(
            "fusion/early/mlp",
            "sound statistics beside TF-IDF, two dense layers",
            _train_on_validation(_network(_dense_sound_and_terms, JOINED_MLP, quick=12, full=24, **JOINED_TRAINING)),
        ),
        Recipe(
            "fusion/early/mlp+faces",
            "the same, and changes of the face's edges, two dense layers",
            _train_on_validation(
                _network(_dense_sound_terms_and_faces, JOINED_MLP, quick=12, full=24, **JOINED_TRAINING)
            ),
        ),
        Recipe(
            "fusion/early/frames",
            "MFCCs and the face's edges on one clock",
            _network(_mfccs_and_faces, {**CNN_BILSTM, **CLOCK_SIZES}, quick=12, full=60, learning_rate=3e-3),
        ),
        Recipe(
            "fusion/late/logistic-regression",
            "both linear models, averaged",
            _late("audio/logistic-regression", "text/logistic-regression"),
        ),
        *(
            Recipe(f"fusion/{join}/{pair}", about, _hybrid(join, *members, **how))
            for pair, (members, how) in PAIRS.items()
            for join, about in JOINS.items()
        ),
        *(
            Recipe(f"conversation/{reach}/{of}", about, _conversation(turns, words=of == "minilm"))
            for reach, (about, turns) in AROUND.items()
            for of in ("minilm", "statistics+words")
        ),
        *(
            Recipe(f"fusion/{way}/{members}", about, _late(*names, **how))
            for members, names in JUDGES.items()
            for way, (about, how) in WAYS.items()
            if way == "late" or members in FITTED
        ),
    )
}
