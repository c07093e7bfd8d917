"""A pretended accelerator: the device rules of CUDA with true values, on a CPU.

Within :func:`pretended_accelerator`, the device ``"cuda"`` exists for the current thread. A tensor on it is a
:class:`DeviceTensor`. To compiled code it is on the device ``meta``, so that nothing can read its values by
accident; they are in a CPU tensor inside. Operations that mix devices raise where CUDA does, and every place
where the host would wait for the device is counted.
"""

import sys
from collections import Counter
from contextlib import contextmanager

import torch
from helpers.paths import ROOT
from torch.autograd.graph import _engine_run_backward
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

aten = torch.ops.aten
DEVICE, HOST = torch.device("cuda", 0), torch.device("cpu")
OURS = tuple(f"{ROOT / package}/" for package in ("bench", "methods", "metrics"))

WAITING = {"_unique2", "equal", "is_nonzero", "masked_select", "nonzero", "unique_consecutive"}
"""Operations whose result has a shape or a value that the host must know."""

INDEXING = {"_index_put_impl_", "_unsafe_index", "index", "index_put", "index_put_"}

ALSO_POINTWISE = {"masked_fill", "masked_fill_", "where"}
"""Operations that accept a scalar tensor of the host without being marked as pointwise."""

_waits: Counter[str] = Counter()


class MixedDevicesError(RuntimeError):
    """An operation mixes the host and the device against the rules of CUDA."""


@contextmanager
def pretended_accelerator():
    """The device exists within the context, in this thread.

    Yields:
        Counter of the lines of code at which the host waited for the device.
    """
    overwrite = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    _waits.clear()
    try:
        with _Functions(), _Constants():
            yield _waits
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(overwrite)


def _wait():
    """Count a wait at the innermost line of Evenhand, or else at the innermost line outside torch."""
    frame, outside = sys._getframe(1), ""
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(OURS):
            _waits[f"{file.removeprefix(f'{ROOT}/')}:{frame.f_lineno}"] += 1
            return
        if not outside and "/torch/" not in file and file != __file__:
            outside = f"{file}:{frame.f_lineno}"
        frame = frame.f_back
    _waits[outside] += 1


class DeviceTensor(torch.Tensor):
    """A tensor on the pretended device."""

    @staticmethod
    def __new__(cls, values, *, requires_grad=False):
        return torch.Tensor._make_wrapper_subclass(
            cls,
            values.shape,
            strides=values.stride(),
            storage_offset=values.storage_offset(),
            dtype=values.dtype,
            layout=values.layout,
            device="meta",
            requires_grad=requires_grad,
        )

    def __init__(self, values, *, requires_grad=False):
        self.values_on_host = values

    __torch_function__ = torch._C._disabled_torch_function_impl
    device = property(lambda self: DEVICE)
    is_cuda = property(lambda self: True)
    is_cpu = is_meta = property(lambda self: False)

    def get_device(self):
        return DEVICE.index

    def numpy(self, *_, **__):
        raise TypeError("can't convert cuda:0 device type tensor to numpy; use Tensor.cpu() first")

    __array__ = numpy

    def tolist(self):
        _wait()
        return self.values_on_host.tolist()

    def __repr__(self, *_, **__):
        return f"DeviceTensor({self.values_on_host!r})"

    def __reduce_ex__(self, protocol):
        raise TypeError("a tensor on the device was pickled; move it to the CPU first")

    def __deepcopy__(self, memo):
        return DeviceTensor(self.values_on_host.clone(), requires_grad=self.requires_grad)

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _computed(func, args, dict(kwargs or {}))


def _host(value):
    """The values of a tensor of the device; everything else as it is."""
    return value.values_on_host if isinstance(value, DeviceTensor) else value


def _computed(func, args, kwargs):
    """The result of an operation with at least one tensor of the device."""
    name = func.overloadpacket.__name__
    if name == "_local_scalar_dense":
        _wait()
        return func(_host(args[0]))
    if name == "_fused_sdp_choice":
        return 0
    if name == "copy_":
        if not isinstance(args[0], DeviceTensor):
            _wait()
        func(*tree_map(_host, args), **kwargs)
        return args[0]
    _check_devices(func, name, args, kwargs)
    to_host = name == "_to_copy" and kwargs.get("device") == HOST
    if kwargs.get("device") is not None:
        kwargs["device"] = HOST
    if to_host or name in WAITING:
        _wait()
    found = func(*tree_map(_host, args), **tree_map(_host, kwargs))
    if to_host:
        return found
    same = {id(_host(leaf)): leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, DeviceTensor)}

    def outward(leaf):
        if not isinstance(leaf, torch.Tensor):
            return leaf
        with torch.inference_mode(mode=False):
            # Views of weights in inference mode need an outer tensor with a version.
            return same[id(leaf)] if id(leaf) in same else DeviceTensor(leaf)

    return tree_map(outward, found)


def _check_devices(func, name, args, kwargs):
    on_host = [
        leaf
        for leaf in tree_leaves((args, kwargs))
        if isinstance(leaf, torch.Tensor) and not isinstance(leaf, DeviceTensor)
    ]
    if name in INDEXING:
        _check_index(func, *args)
        return
    scalars = torch.Tag.pointwise in func.tags or name in ALSO_POINTWISE
    for tensor in on_host:
        if tensor.dim() or not scalars:
            raise MixedDevicesError(f"{func} mixes cuda:0 and a cpu tensor of shape {tuple(tensor.shape)}")


def _check_index(func, tensor, indices, values=None, *_):
    stated = [index for index in indices if index is not None]
    there = isinstance(tensor, DeviceTensor)
    if not there and any(isinstance(index, DeviceTensor) for index in stated):
        raise MixedDevicesError(f"{func}: a cpu tensor has indices on cuda:0")
    if isinstance(values, torch.Tensor) and values.dim() and isinstance(values, DeviceTensor) != there:
        raise MixedDevicesError(f"{func}: tensor and values are on different devices")
    if any(index.dtype in (torch.bool, torch.uint8) for index in stated):
        _wait()


class _ToDevice(torch.autograd.Function):
    @staticmethod
    def forward(ctx, tensor):
        return DeviceTensor(tensor.detach().clone())

    @staticmethod
    def backward(ctx, gradient):
        return gradient.values_on_host.clone()


class _ToHost(torch.autograd.Function):
    @staticmethod
    def forward(ctx, tensor):
        return tensor.values_on_host.detach().clone()

    @staticmethod
    def backward(ctx, gradient):
        return DeviceTensor(gradient.clone())


def _is_device(device):
    return device is not None and torch.device(device).type == "cuda"


def _moved(tensor, device):
    """The tensor on ``device``, with gradients; itself if it is there already."""
    there = isinstance(tensor, DeviceTensor)
    if device is None or _is_device(device) == there:
        return tensor
    inside = tensor.requires_grad and torch.is_grad_enabled() and not tensor.is_leaf
    if there:
        _wait()
        return _ToHost.apply(tensor) if inside else tensor.values_on_host.detach().clone()
    return _ToDevice.apply(tensor) if inside else DeviceTensor(tensor.detach().clone())


def _to(
    tensor, *args, copy=False, non_blocking=False, memory_format=None, device=None, dtype=None, other=None
):
    for argument in args:
        if isinstance(argument, torch.Tensor):
            other = argument
        elif isinstance(argument, torch.dtype):
            dtype = argument
        elif not isinstance(argument, bool) and argument is not None:
            device = argument
    if other is not None:
        device, dtype = other.device, other.dtype
    moved = _moved(tensor, device)
    more = {} if memory_format is None else {"memory_format": memory_format}
    return torch.Tensor.to(moved, dtype or moved.dtype, copy=copy and moved is tensor, **more)


def _attention(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, **_):
    """Attention in its plain form, because kernels would be chosen for the outward device."""
    scores = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        seen = DeviceTensor(torch.ones(scores.shape[-2:], dtype=torch.bool).tril())
        scores = scores.masked_fill(~seen, float("-inf"))
    if attn_mask is not None:
        boolean = attn_mask.dtype == torch.bool
        scores = scores.masked_fill(~attn_mask, float("-inf")) if boolean else scores + attn_mask
    return scores.softmax(dim=-1) @ value


def _index(index):
    """An index with lists and arrays as tensors on the device, as compiled code makes them."""
    if isinstance(index, tuple):
        return tuple(map(_index, index))
    listed = isinstance(index, list | range) or (type(index).__module__ == "numpy" and index.ndim > 0)
    return DeviceTensor(torch.as_tensor(index)) if listed else index


def _set_item(tensor, index, value):
    if not isinstance(value, torch.Tensor):
        value = DeviceTensor(torch.tensor(value, dtype=tensor.dtype))
    return torch.Tensor.__setitem__(tensor, _index(index), value)


def _where(condition, *branches, **more):
    kinds = [branch.dtype for branch in branches if isinstance(branch, torch.Tensor)]
    kind = kinds[0] if kinds else None
    made = [b if isinstance(b, torch.Tensor) else DeviceTensor(torch.tensor(b, dtype=kind)) for b in branches]
    return torch.where(condition, *made, **more)


def _new_tensor(tensor, values, *, dtype=None, device=None, **more):
    return DeviceTensor(torch.tensor(values, dtype=dtype or tensor.dtype, **more))


def _backward(tensor, gradient=None, retain_graph=None, create_graph=False, inputs=None):
    # Checkpointed parts are computed again during the call, which needs the mode. The public function would
    # be intercepted once more, and run without it.
    with _Functions():
        return _engine_run_backward(
            (tensor,),
            (torch.ones_like(tensor) if gradient is None else gradient,),
            create_graph if retain_graph is None else retain_graph,
            create_graph,
            tuple(inputs or ()),
            allow_unreachable=True,
            accumulate_grad=True,
        )


ON_DEVICE = {
    torch.Tensor.__getitem__: lambda tensor, index: torch.Tensor.__getitem__(tensor, _index(index)),
    torch.Tensor.__setitem__: _set_item,
    torch.Tensor.new_tensor: _new_tensor,
    torch.nn.functional.scaled_dot_product_attention: _attention,
    torch.where: _where,
}
"""What is called instead of a function whose first argument is on the device."""

ANYWHERE = {
    torch.Tensor.backward: _backward,
    torch.Tensor.cpu: lambda tensor, *_, **__: _moved(tensor, HOST),
    torch.Tensor.cuda: lambda tensor, *_, **__: _moved(tensor, DEVICE),
    torch.Tensor.pin_memory: lambda tensor, *_: tensor,
    torch.Tensor.to: _to,
    # Whether a parameter can take the other's values in place; modules ask when they move.
    torch._has_compatible_shallow_copy_type: lambda one, other: type(one) is type(other),
}
"""What is called instead of a function that moves tensors, or may reach tensors of both sides."""


class _Functions(TorchFunctionMode):
    """Replaces functions that move tensors to the device, or create them there."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func in ANYWHERE:
            return ANYWHERE[func](*args, **kwargs)
        first = args[0] if args else kwargs.get("query")
        if func in ON_DEVICE and isinstance(first, DeviceTensor):
            return ON_DEVICE[func](*args, **kwargs)
        if func is torch._C._nn._parse_to or not _is_device(kwargs.get("device")):
            return func(*args, **kwargs)
        if any(isinstance(argument, DeviceTensor) for argument in args):
            del kwargs["device"]
            return func(*args, **kwargs)
        wanted = kwargs.pop("requires_grad", False)
        return DeviceTensor(func(*args, **kwargs | {"device": HOST}).detach(), requires_grad=wanted)


class _Constants(TorchDispatchMode):
    """Puts on the device what compiled code creates beside its tensors, such as the scalars of gradients."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        outward = kwargs.get("device") is not None and torch.device(kwargs["device"]).type == "meta"
        if outward and not any(isinstance(argument, torch.Tensor) for argument in args):
            return DeviceTensor(func(*args, **kwargs | {"device": HOST}))
        return func(*args, **kwargs)
