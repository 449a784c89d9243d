"""From an .onnx file to f, w, b and S. The only folder that imports onnxruntime."""
