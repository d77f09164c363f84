"""A compiled bundle as one file that a board reads with numpy and the standard library.

The file (``.hlb``) is a zip archive of ``manifest.json`` and ``.npy`` arrays, without pickles. The
manifest names the SHA-256 of every array, the archive's comment that of the manifest. Invariant: a
bundle that opens is whole and was made for this program; any other is refused in one line.
"""

from __future__ import annotations

import json
import math
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from heterolith.errors import InputError
from heterolith.hw.config import ArrayConfig
from heterolith.hw.export import command_set
from heterolith.scheduler.bundle import Bundle
from heterolith.scheduler.plan import Plan
from heterolith.sw.network import Array
from heterolith.sw.segments import Compiled, SavedSegment, Site
from heterolith.sw.store import restore_linear, restore_network, store_network

SUFFIX = ".hlb"
VERSION = 1
_FORMAT = "heterolith-bundle"
_MANIFEST = "manifest.json"
_LINEAR = ("weights", "bias", "multiplier", "shift")


def bundle_bytes(bundle: Bundle) -> bytes:
    """Return the file of a bundle.

    Raises
    ------
    InputError
        If an attribute of a layer has no form in JSON.
    """
    network, arrays = store_network(bundle.quantized)
    linear = {}
    for index, (name, p) in enumerate(bundle.compiled.linear.items()):
        values = (p.weights, p.bias, p.scaling.multiplier, p.scaling.shift)
        linear[name] = [f"linear{index}.{part}" for part in _LINEAR]
        arrays |= zip(linear[name], values, strict=True)
    segments = []
    for index, (name, s) in enumerate(bundle.compiled.segments.items()):
        arrays[f"commands{index}"] = s.code
        row = {"name": name, "commands": f"commands{index}", "offset": s.offset, "ends": s.ends}
        segments.append({**row, "digest": s.digest, "predicted_cycles": s.predicted_cycles})
    entries = {f"arrays/{name}.npy": _npy(array) for name, array in arrays.items()}
    manifest = {
        "format": _FORMAT,
        "version": VERSION,
        "command_set": command_set(),
        "model_fingerprint": bundle.model_fingerprint,
        "network": network,
        "plan": bundle.plan.to_json(),
        "kinds": bundle.kinds,
        "sites": {name: _site_data(site) for name, site in bundle.sites.items()},
        "linear": linear,
        "segments": segments,
        "sha256": {name: sha256(data).hexdigest() for name, data in entries.items()},
    }
    try:
        text = json.dumps(manifest, indent=1).encode()
    except TypeError as error:
        raise InputError(f"a layer of {network['name']} cannot be stored: {error}") from error
    file = BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.comment = f"{_FORMAT}/{VERSION} sha256 {sha256(text).hexdigest()}".encode()
        for name, data in ((_MANIFEST, text), *entries.items()):
            # A fixed date: the same bundle is the same file.
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def read_bundle(path: Path) -> Bundle:
    """Read a bundle.

    Raises
    ------
    InputError
        If the file is missing, damaged, of a newer version, or was compiled for an accelerator that
        this program does not know.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = _manifest(archive, path)
            arrays = {
                name.removeprefix("arrays/").removesuffix(".npy"): _array(archive, name, digest)
                for name, digest in manifest["sha256"].items()
            }
        return _bundle(manifest, arrays, path)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path} is no whole bundle ({error}); copy it again, or compile the plan again"
        ) from error


def _manifest(archive: zipfile.ZipFile, path: Path) -> dict[str, Any]:
    text = archive.read(_MANIFEST)
    manifest = json.loads(text)
    if not isinstance(manifest, dict) or manifest.get("format") != _FORMAT:
        raise InputError(
            f"{path} is no {_FORMAT}; make one: heterolith compile plan.json -o net.hlb"
        )
    version = manifest.get("version")
    if version != VERSION:
        raise InputError(
            f"{path} is a bundle of version {version}, this program reads {VERSION}; "
            "install a newer heterolith here, or compile the plan again with this one"
        )
    expected = archive.comment.decode(errors="replace").rpartition(" ")[2]
    _check(_MANIFEST, text, expected)
    if manifest["command_set"] != command_set():
        raise InputError(
            f"{path} was compiled for command set {manifest['command_set']}, this program has "
            f"{command_set()}; compile the plan again with this version"
        )
    return manifest


def _bundle(manifest: Mapping[str, Any], arrays: Mapping[str, Array], path: Path) -> Bundle:
    quantized = restore_network(manifest["network"], arrays)
    layers = {layer.name: layer for layer in quantized.network.layers}
    linear = {}
    for name, entries in manifest["linear"].items():
        parts = dict(zip(_LINEAR, (arrays[entry] for entry in entries), strict=True))
        linear[name] = restore_linear(quantized, layers[name], parts)
    segments = {
        row["name"]: SavedSegment(
            code=arrays[row["commands"]],
            offset=row["offset"],
            ends=tuple(row["ends"]),
            digest=row["digest"],
            predicted_cycles=row["predicted_cycles"],
        )
        for row in manifest["segments"]
    }
    sites = {name: _site(data, path) for name, data in manifest["sites"].items()}
    return Bundle(
        plan=Plan.from_json(manifest["plan"]),
        quantized=quantized,
        compiled=Compiled(linear=linear, segments=segments),
        kinds=manifest["kinds"],
        sites=sites,
        model_fingerprint=manifest["model_fingerprint"],
    )


def _site_data(site: Site) -> dict[str, Any]:
    data = {**asdict(site), "config_hash": site.config.fingerprint()}
    return {key: None if value == math.inf else value for key, value in data.items()}


def _site(data: Mapping[str, Any], path: Path) -> Site:
    fields: dict[str, Any] = {
        key: math.inf if value is None else value for key, value in data.items()
    }
    expected = fields.pop("config_hash")
    config = ArrayConfig(**fields.pop("config"))
    if config.fingerprint() != expected:
        raise InputError(
            f"{path} was compiled for accelerator {expected}, its configuration "
            f"{config.name} has hash {config.fingerprint()} here; compile the plan again"
        )
    return Site(config=config, **fields)


def _npy(array: Array) -> bytes:
    file = BytesIO()
    np.lib.format.write_array(file, np.asarray(array, order="C"), allow_pickle=False)
    return file.getvalue()


def _array(archive: zipfile.ZipFile, name: str, digest: str) -> Array:
    data = archive.read(name)
    _check(name, data, digest)
    array: Array = np.lib.format.read_array(BytesIO(data), allow_pickle=False)
    return array


def _check(name: str, data: bytes, expected: str) -> None:
    found = sha256(data).hexdigest()
    if found != expected:
        raise InputError(
            f"{name} has SHA-256 {found} and should have {expected or 'one in the manifest'}; "
            "copy the bundle again, or compile the plan again"
        )
