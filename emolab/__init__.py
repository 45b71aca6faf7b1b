"""Corpora, folds, recognizers, reports and explanations for emotion recognition.

The public names stand in `__init__.pyi`; each is imported on first use, so that `import emolab` stays quick.
"""

import os
import warnings

from lazy_loader import attach_stub

# torch reads them when it is imported: idle threads sleep, so that they do not slow others down while a core is busy,
# and few compiled layers are kept, since batches of ever other lengths would fill the memory with them
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "8")

# libraries import bars of their own, which ask for ipywidgets where a notebook has none: captum, shap, accelerate
warnings.filterwarnings("ignore", "IProgress not found")

__version__ = "0.2.0"
__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
