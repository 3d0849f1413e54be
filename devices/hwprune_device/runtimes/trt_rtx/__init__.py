"""Runtime "trt_rtx": TensorRT for RTX, through the room `trt/`."""
