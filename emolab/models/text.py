"""Networks that read: word numbers in, logits out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from emolab.models.network import StepNetwork
from emolab.models.steps import Summary, run_lstm

PAD = 0  # the number that stands for no word


@dataclass(frozen=True)
class WordLstmConfig:
    """Sizes of the network; the defaults are the recipe text/bilstm, the options that it lacks are off."""

    n_words: int  # size of the vocabulary, with the number for no word and that for an unknown one
    n_emotions: int
    n_embedding: int = 256
    n_hidden: int = 256  # in each direction
    n_layers: int = 2
    n_dense: int = 256
    summary: Summary = "mean"  # of the words that the LSTM has read
    dropout: float = 0.0  # after the embedding, between the LSTM's layers, before and after the dense layer
    both_ways: bool = True  # False: an LSTM, which has read no further than the word it is at
    frozen: bool = False  # word vectors that training leaves alone, for those that come from a file


class WordLstm(StepNetwork):
    """Words become vectors, an LSTM reads them one way or both, a mean over the real words sums them up."""

    def __init__(self, config: WordLstmConfig) -> None:
        super().__init__(config)
        self.embedding = nn.Embedding(config.n_words, config.n_embedding, padding_idx=PAD)
        self.embedding.weight.requires_grad_(not config.frozen)
        between = config.dropout if config.n_layers > 1 else 0.0
        sizes = (config.n_embedding, config.n_hidden, config.n_layers)
        self.lstm = nn.LSTM(*sizes, batch_first=True, bidirectional=config.both_ways, dropout=between)
        self.add_summary((1 + config.both_ways) * config.n_hidden)

    def input_embeddings(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Turn (batch, words) int64 into word vectors, (batch, words, n_embedding); vectors stay."""
        return tokens if tokens.is_floating_point() else self.embedding(tokens), lengths

    def hidden_states(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Turn (batch, words) int64 into what the LSTM has read, (batch, words, n_hidden), twice that both ways."""
        vectors = self.input_embeddings(tokens, lengths)[0]
        return run_lstm(self.lstm, self.dropout(vectors), lengths), lengths

    @torch.no_grad()
    def take_vectors(self, places: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """Begin with known vectors (n, n_embedding) for the words `places` (n,); others begin at random among them."""
        known, table = torch.from_numpy(vectors), self.embedding.weight
        table.mul_(known.std(dim=0, correction=0)).add_(known.mean(dim=0))
        table[PAD] = 0
        table[torch.from_numpy(places)] = known
