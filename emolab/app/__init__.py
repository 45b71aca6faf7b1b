"""The web page: a recording is uploaded, recorded or filmed, and comes back as segments with emotions."""
