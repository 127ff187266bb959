"""The pipeline: stages for DVC, composed by Hydra; needs unitmean[pipeline]."""
