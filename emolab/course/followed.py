"""The five utterances that the chapters on fusion follow through every type of it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from emolab.corpora.corpus import Corpus

N_FOLLOWED = 5
CASES: Mapping[tuple[bool, ...], str] = {  # words, voice and face show the emotion: how tables call the case
    (True, True, True): "all agree",
    (True, False, False): "words alone",
    (False, True, False): "voice alone",
    (False, False, True): "face alone",
    (True, True, False): "face dissents",
}


def followed(test: Corpus) -> tuple[Corpus, list[str]]:
    """Pick the same five utterances of a test part in every chapter, and say what is special about each.

    Where the truth is known, as in the sample, one for each of `CASES`, the first that there is; elsewhere the first
    utterance of each of five emotions, called by it. Fewer where there are not so many.
    """
    table = test.table
    if "shown_text" in table:
        shown = np.stack([table[f"shown_{kind}"] == table["emotion"] for kind in ("text", "audio", "video")], axis=1)
        cases = [CASES.get(tuple(map(bool, row)), "") for row in shown]
        wanted = list(CASES.values())
    else:
        cases, wanted = table["emotion"].tolist(), list(test.emotions)
    places = {case: cases.index(case) for case in wanted if case in cases}
    kept = dict(list(places.items())[:N_FOLLOWED])
    order = sorted(kept, key=lambda case: kept[case])  # the order of the corpus, which `select` keeps
    return test.select(np.isin(np.arange(len(test)), list(kept.values()))), order
