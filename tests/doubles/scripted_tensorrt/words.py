"""What TensorRT says, as users have reported it of 10.x."""

from __future__ import annotations

WRONG_DEVICE = (
    "IRuntime::deserializeCudaEngine: Error Code 6: API Usage Error (The engine plan file is "
    "generated on an incompatible device, expecting compute {here} got compute {there}, please "
    "rebuild.)"
)
WRONG_VERSION = (
    "IRuntime::deserializeCudaEngine: Error Code 1: Serialization (Serialization assertion "
    "stdVersionRead == kSERIALIZATION_VERSION failed.Version tag does not match. Note: Current "
    "Version: {here}, Serialized Engine Version: {there})"
)
NO_PLAN = (
    "IRuntime::deserializeCudaEngine: Error Code 1: Serialization (Serialization assertion "
    "magicTagRead == kMAGIC_TAG failed.Magic tag does not match)"
)
ALLOCATION = "[defaultAllocator.cpp::allocate::31] Error Code 1: Cuda Runtime (out of memory)"
REQUESTED = (
    "Requested amount of GPU memory ({size} bytes) could not be allocated. There may not be "
    "enough free memory for allocation to succeed."
)
SKIPPED = (
    "Error Code: 9: Skipping tactic 0x0000000000000000 due to exception "
    "[tunable_graph.cpp:create:117] autotuning: User allocator error allocating {size}-byte buffer"
)
NO_IMPLEMENTATION = (
    "IBuilder::buildSerializedNetwork: Error Code 10: Internal Error (Could not find any "
    "implementation for node {node}.)"
)
NO_ROOM = "{where}: Error Code 2: OutOfMemory (Requested size was {size} bytes.)"
NO_OUTPUT = (
    "IBuilder::buildSerializedNetwork: Error Code 4: Internal Error (Network must have at least "
    "one output)"
)
NO_PROFILE = (
    "IBuilder::buildSerializedNetwork: Error Code 4: API Usage Error (Network has dynamic or "
    "shape inputs, but no optimization profile has been defined.)"
)
NO_CALIBRATION = (
    "Missing scale and zero-point for tensor {tensor}, expect fall back to non-int8 "
    "implementation for any layer consuming or producing given tensor"
)
FELL_BACK = (
    "Layer '{layer}' ({kind}): Unsupported on DLA. Switching this layer's device type to GPU."
)
NO_FALLBACK = (
    "IBuilder::buildSerializedNetwork: Error Code 9: Internal Error (Default DLA is enabled but "
    "layer {layer} is not supported on DLA and falling back to GPU is not enabled.)"
)
LOCAL_CACHE = (
    "Local timing cache in use. Profiling results in this builder pass will not be stored."
)
NOT_PARSED = (
    "In node {node} with name: {name} and operator: {operator} (parseNode): {code}: {desc}"
)
NO_INPUT_ADDRESS = (
    "IExecutionContext::enqueueV3: Error Code 3: API Usage Error (Parameter check failed, "
    "condition: mContext.profileObliviousBindings.at(profileObliviousIndex) != nullptr. Address "
    "is not set for input tensor {tensor}. Call setInputTensorAddress or setTensorAddress before "
    "enqueue/execute.)"
)
NO_OUTPUT_ADDRESS = (
    "IExecutionContext::enqueueV3: Error Code 3: API Usage Error (Parameter check failed, "
    "condition: mContext.profileObliviousBindings.at(profileObliviousIndex) || "
    "getPtrOrNull(mOutputAllocators, profileObliviousIndex). Neither address or allocator is set "
    "for output tensor {tensor}. Call setOutputTensorAddress, setTensorAddress or "
    "setOutputAllocator before enqueue/execute.)"
)
NO_SHAPE = (
    "IExecutionContext::enqueueV3: Error Code 3: API Usage Error (Parameter check failed, "
    "condition: allInputDimensionsSpecified(routine). Not all input dimensions are specified.)"
)
OUT_OF_PROFILE = (
    "IExecutionContext::setInputShape: Error Code 3: API Usage Error (Parameter check failed, "
    "condition: satisfyProfile. Set dimension {given} for tensor {tensor} does not satisfy any "
    "optimization profiles.)"
)
NO_SUCH_TENSOR = "{where}: Error Code 3: Internal Error (Given invalid tensor name: {tensor}.)"
CUDA = "{where}: Error Code 1: Cuda Runtime ({text})"
DEFAULT_STREAM = (
    "Using default stream in enqueueV3() may lead to performance issues due to additional calls "
    "to cudaStreamSynchronize() by TensorRT to ensure correct synchronization. Please use "
    "non-default stream instead."
)
