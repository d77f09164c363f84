"""ONNX Runtime on the unchanged model file: what every run is compared with."""

from __future__ import annotations

from collections.abc import Mapping

from heterolith.errors import InputError, MissingExtraError
from heterolith.sw.network import Array, Network


def reference_outputs(
    network: Network, inputs: Mapping[str, Array]
) -> tuple[dict[str, Array], str]:
    """Return float32 outputs by name and the name of what computed them.

    Raises
    ------
    InputError
        If the network was not read from a file, or ONNX Runtime refuses the file.
    MissingExtraError
        If onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise MissingExtraError("onnxruntime", "verify") from error
    if not network.path:
        raise InputError(f"network {network.name} has no model file to compare with")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            network.path, options, providers=["CPUExecutionProvider"]
        )
        results = session.run(list(network.outputs), dict(inputs))
    except Exception as error:  # onnxruntime raises bare RuntimeErrors of its own kinds
        detail = str(error).strip().splitlines()[0]
        raise InputError(f"ONNX Runtime refuses {network.path}: {detail}") from error
    version = f"onnxruntime {onnxruntime.__version__} CPUExecutionProvider, float32"
    return dict(zip(network.outputs, results, strict=True)), version
