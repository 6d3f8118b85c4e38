"""ONNX models as packages ship them -> sessions that suit us: one thread, floats, seeded; runs inside engine_worker."""

from __future__ import annotations

from typing import Any

_NOISE_VALUES = 1 << 19  # for piper: 192 channels at 86 frames a second last half a minute


def session(model: str | bytes) -> Any:
    """Open an ONNX model, by path or content, on one core: the workers are the parallelism."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options)


class SeededSession:
    """A model that draws noise, as a session that draws it from `rng`, for callers that know nothing of that."""

    def __init__(self, model: Any) -> None:
        model = with_noise_inputs(model)
        self.session = session(model.SerializeToString())
        self.rng: Any = None

    def run(self, outputs: Any, inputs: dict[str, Any]) -> Any:
        """Run the model as ``onnxruntime.InferenceSession.run`` does."""
        names = [entry.name for entry in self.session.get_inputs() if entry.name.startswith("noise_")]
        noise = {name: self.rng.standard_normal(_NOISE_VALUES, "float32") for name in names}
        return self.session.run(outputs, {**inputs, **noise})


def with_noise_inputs(model: Any) -> Any:
    """Let the caller bring the noise that an ONNX model draws: ONNX Runtime seeds it per session, not per run.

    Each ``RandomNormalLike`` becomes the first values of a vector input of its own: ``noise_0``, ``noise_1`` …
    """
    from onnx import TensorProto, helper

    graph, nodes = model.graph, []
    names: list[str] = []
    for node in graph.node:
        if node.op_type != "RandomNormalLike":
            nodes.append(node)
            continue
        (like,), (drawn,), name = node.input, node.output, f"noise_{len(names)}"
        names.append(name)
        nodes += [
            helper.make_node("Shape", [like], [f"{name}_shape"]),
            helper.make_node("ReduceProd", [f"{name}_shape"], [f"{name}_size"], keepdims=1),
            helper.make_node("Slice", [name, "noise_start", f"{name}_size"], [f"{name}_values"]),
            helper.make_node("Reshape", [f"{name}_values", f"{name}_shape"], [drawn]),
        ]
    graph.initializer.append(helper.make_tensor("noise_start", TensorProto.INT64, [1], [0]))
    graph.input.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, [None]) for name in names)
    del graph.node[:]
    graph.node.extend(nodes)
    return model


def float_model(quantised: Any) -> Any:
    """Turn a dynamically quantised ONNX model back into floats, which runs twice as fast on a CPU.

    A quantised product is ``integer_op(quantise(x), w) * (scale_x * scale_w)``, its bias added as
    ``floor(bias / (scale_x * scale_w))``. Giving x itself to the float operator, with ``scale_x = 1`` and
    without the floor, is the same product less the rounding.
    """
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    graph = quantised.graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    unrounded: dict[str, str] = {}  # quantised activation -> the activation itself
    nodes = []
    for node in graph.node:
        if node.op_type == "DynamicQuantizeLinear":
            unrounded[node.output[0]] = node.input[0]
            tensors[node.output[1]] = numpy_helper.from_array(np.float32(1.0), node.output[1])
            continue
        if node.op_type in ("ConvInteger", "MatMulInteger"):
            activation, weight, _, zero = node.input
            name = f"{weight}.float"
            if name not in tensors:
                values = numpy_helper.to_array(tensors[weight]).astype(np.float32)
                offset = numpy_helper.to_array(tensors[zero]).astype(np.float32)
                if node.op_type == "ConvInteger" and offset.size > 1:  # one per output channel
                    offset = offset.reshape(-1, *[1] * (values.ndim - 1))
                tensors[name] = numpy_helper.from_array(values - offset, name)
            attributes = list(node.attribute)
            operator = node.op_type.removesuffix("Integer")
            node = helper.make_node(operator, [unrounded[activation], name], node.output, node.name)
            node.attribute.extend(attributes)
        elif node.name.endswith("bias_quant_rounded"):
            node.op_type = "Identity"
        elif node.name.endswith("bias_quantized_node"):  # the cast of a bias to integers
            node.attribute[0].i = TensorProto.FLOAT
        nodes.append(node)
    used = {name for node in nodes for name in node.input}
    kept = [tensor for name, tensor in tensors.items() if name in used]
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend(kept)
    return quantised
