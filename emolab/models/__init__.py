"""Networks: tensors in, logits out; and light scikit-learn pipelines."""
