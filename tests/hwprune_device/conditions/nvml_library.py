"""A library with NVML's real calling convention that tells what the environment says.

`HWPRUNE_TEST_NVML` holds words such as "sm=1980 reasons=0x20 processes=7,9"; what it does not name
the library answers with "not supported". The handle of a GPU is checked in every call.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

TOLD = "HWPRUNE_TEST_NVML"
COMPILER = shutil.which("cc") or shutil.which("gcc")
needs_compiler = pytest.mark.skipif(
    COMPILER is None, reason="no C compiler to build a driver with"
)
H100 = (
    "sm=1980 highest_sm=1980 memory=2619 highest_memory=2619 temperature=41 slowdown=87 "
    "power=120500 limit=700000 persistence=1 reasons=0 power_ns=0 heat_ns=0 processes="
)
SOURCE = r"""
#include <stdlib.h>
#include <string.h>
#define NOT_SUPPORTED 3
#define GPU(n) ((void *) (0x7000000000000001 + (n)))
typedef unsigned long long ull;

static const char *word(const char *name)
{
    const char *all = getenv("HWPRUNE_TEST_NVML");
    size_t length = strlen(name);
    for (; all && *all; all = strchr(all, ' ') ? strchr(all, ' ') + 1 : 0)
        if (!strncmp(all, name, length) && all[length] == '=') return all + length + 1;
    return 0;
}
static int give(const char *name, ull *value)
{
    const char *text = word(name);
    if (!text) return NOT_SUPPORTED;
    *value = strtoull(text, 0, 0);
    return 0;
}
static int number(void *device, const char *name, unsigned int *value)
{
    ull wide = 0;
    if (device < GPU(0) || device > GPU(7)) return 2;
    if (give(name, &wide)) return NOT_SUPPORTED;
    *value = (unsigned int) wide;
    return 0;
}
static int text(const char *words, char *buffer, unsigned int size)
{
    if (strlen(words) >= size) return 7;
    strcpy(buffer, words);
    return 0;
}

int nvmlInit_v2(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned int *count)
{ ull told = 1; give("gpus", &told); *count = told; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **device)
{ *device = GPU(index); return 0; }
int nvmlDeviceGetName(void *device, char *buffer, unsigned int size)
{ return text("NVIDIA H100 80GB HBM3", buffer, size); }
int nvmlDeviceGetUUID(void *device, char *buffer, unsigned int size)
{
    char name[] = "GPU-00000000-0000-0000-0000-000000000000";
    name[4] = '0' + (char) ((char *) device - (char *) GPU(0));
    return text(name, buffer, size);
}
int nvmlSystemGetDriverVersion(char *buffer, unsigned int size)
{ return text("580.65.06", buffer, size); }
int nvmlSystemGetCudaDriverVersion_v2(int *version) { *version = 13010; return 0; }
int nvmlDeviceGetCudaComputeCapability(void *device, int *major, int *minor)
{ *major = 9; *minor = 0; return 0; }
int nvmlDeviceGetMemoryInfo(void *device, ull *memory)
{ memory[0] = 85520809984ULL; memory[1] = 85000000000ULL; memory[2] = 520809984ULL; return 0; }
int nvmlDeviceGetClockInfo(void *device, unsigned int kind, unsigned int *value)
{ return number(device, kind == 1 ? "sm" : kind == 2 ? "memory" : "none", value); }
int nvmlDeviceGetMaxClockInfo(void *device, unsigned int kind, unsigned int *value)
{ return number(device, kind == 1 ? "highest_sm" : kind == 2 ? "highest_memory" : "none", value); }
int nvmlDeviceGetTemperature(void *device, unsigned int sensor, unsigned int *value)
{ return sensor ? 2 : number(device, "temperature", value); }
int nvmlDeviceGetTemperatureThreshold(void *device, unsigned int kind, unsigned int *value)
{ return number(device, kind == 1 ? "slowdown" : "none", value); }
int nvmlDeviceGetPowerUsage(void *device, unsigned int *value)
{ return number(device, "power", value); }
int nvmlDeviceGetEnforcedPowerLimit(void *device, unsigned int *value)
{ return number(device, "limit", value); }
int nvmlDeviceGetPersistenceMode(void *device, unsigned int *value)
{ return number(device, "persistence", value); }
int REASONS(void *device, ull *bits) { return give("reasons", bits); }
int nvmlDeviceGetViolationStatus(void *device, unsigned int policy, ull *time)
{
    time[0] = 1;
    return give(policy == 0 ? "power_ns" : policy == 1 ? "heat_ns" : "none", &time[1]);
}
struct process { unsigned int pid; ull used; unsigned int gpu, compute; };
int nvmlDeviceGetComputeRunningProcesses_v3(
    void *device, unsigned int *count, struct process *rows)
{
    const char *told = word("processes");
    unsigned int found = 0;
    if (!told) return NOT_SUPPORTED;
    while (*told && *told != ' ') {
        if (found == *count) return 7;
        rows[found++].pid = (unsigned int) strtoul(told, (char **) &told, 10);
        if (*told == ',') told++;
    }
    *count = found;
    return 0;
}
int nvmlDeviceGetTotalEnergyConsumption(void *device, ull *energy)
{
    static ull used = 5000;
    if (device != GPU(0)) return 2;
    if (word("no_energy")) return NOT_SUPPORTED;
    *energy = used += 250;
    return 0;
}
"""


def library(folder: Path, reasons: str = "ClocksEventReasons") -> str:
    """Build the library; `reasons`: what the driver's generation calls a clock's reasons."""
    source, built = folder / "nvml.c", folder / "libnvidia-ml.so.1"
    source.write_text(SOURCE)
    options = [f"-DREASONS=nvmlDeviceGetCurrent{reasons}", "-shared", "-fPIC"]
    subprocess.run([str(COMPILER), *options, "-o", str(built), str(source)], check=True)
    return str(built)
