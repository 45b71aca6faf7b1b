"""Networks, tensors in and logits out, and light scikit-learn estimators."""
