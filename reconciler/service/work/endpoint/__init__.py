"""The models behind an OpenAI-compatible endpoint: ``--model-url``."""
