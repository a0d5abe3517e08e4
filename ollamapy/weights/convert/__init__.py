"""From a folder of safetensors to one GGUF file. Runs in a child: `python -m ollamapy.weights.convert`."""
