"""The stages of dvc.yaml, each a thin program: read nouns, call a verb, write nouns."""
