"""Wave -> Verdict on ONNX Runtime, without torch."""
