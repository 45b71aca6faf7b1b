"""Networks that read: word numbers in, logits out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from emolab.models.steps import Summary, SummaryOverTime, run_lstm

PAD = 0  # the number that stands for no word


@dataclass(frozen=True)
class BiLstmConfig:
    """Sizes of the network; the defaults are the recipe text/bilstm, the options that it lacks are off."""

    n_words: int  # size of the vocabulary, with the number for no word and that for an unknown one
    n_emotions: int
    n_embedding: int = 256
    n_hidden: int = 256  # in each direction
    n_layers: int = 2
    n_dense: int = 256
    summary: Summary = "mean"  # of the words that the BiLSTM has read
    dropout: float = 0.0  # after the embedding, between the BiLSTM's layers, before and after the dense layer


class BiLstm(nn.Module):
    """Words become vectors, a BiLSTM reads them both ways, a mean over the real words sums them up."""

    def __init__(self, config: BiLstmConfig) -> None:
        super().__init__()
        self.config, self.n_encoded = config, config.n_dense
        self.embedding = nn.Embedding(config.n_words, config.n_embedding, padding_idx=PAD)
        between = config.dropout if config.n_layers > 1 else 0.0
        sizes = (config.n_embedding, config.n_hidden, config.n_layers)
        self.lstm = nn.LSTM(*sizes, batch_first=True, bidirectional=True, dropout=between)
        self.summary = SummaryOverTime(config.summary, 2 * config.n_hidden)
        self.dense = nn.Linear(self.summary.n_summary, config.n_dense)
        self.dropout = nn.Dropout(config.dropout)
        self.out = nn.Linear(config.n_dense, config.n_emotions)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Turn (batch, words) int64 with (batch,) real lengths into logits (batch, n_emotions)."""
        return self.out(self.dropout(self.encode(tokens, lengths)))

    def encode(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Sum each utterance up in (batch, n_dense), what the output layer judges by."""
        return self.encode_embedded(self.embedding(tokens), lengths)

    def encode_embedded(self, vectors: Tensor, lengths: Tensor) -> Tensor:
        """Go on from word vectors (batch, words, n_embedding), where a gradient can reach them."""
        states = run_lstm(self.lstm, self.dropout(vectors), lengths)  # (batch, words, 2 * n_hidden)
        return torch.relu(self.dense(self.dropout(self.summary(states, lengths))))
