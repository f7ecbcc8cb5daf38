"""The NAT instance: what the group launches, and the script that makes it forward, run with its tools faked."""

from __future__ import annotations

import base64
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from local import ROOT
from tests.support.plan import Plan, one

SCRIPT = ROOT / "modules" / "network" / "nat.sh"
# The script's tools, in place of this machine's: each writes its call down, and fails if a file says so.
TOOL = """#!{bash}
echo "{name} $*" >> "{folder}/calls"
if [ -e "{folder}/{name}-fails" ]; then
  left=$(($(< "{folder}/{name}-fails") - 1))
  if [ "$left" -ge 0 ]; then echo "$left" > "{folder}/{name}-fails"; exit 9; fi
fi
{further}
"""
NFT = 'case "$1" in list) cat "{rules}" ;; esac'
FAKED = ("dd", "dnf", "mkswap", "shutdown", "sleep", "swapon", "sysctl", "systemctl")


class Instance:
    """A folder that stands for the instance's disk, and the script started on it."""

    def __init__(self, folder: Path, *, has_nft: bool) -> None:
        self.folder, self._bin = folder, folder / "bin"
        for name in ("bin", "etc/sysctl.d", "etc/sysconfig"):
            (folder / name).mkdir(parents=True)
        for name in ("bash", "cat", "chmod", "grep"):
            (self._bin / name).symlink_to(shutil.which(name) or name)
        nft = self._tool("nft", NFT.format(rules=folder / "etc/sysconfig/nftables.conf"), folder / "nft")
        if has_nft:
            nft.rename(self._bin / "nft")
        installs = f'cat "{nft}" > "{self._bin}/nft"; chmod +x "{self._bin}/nft"'
        does = {"dd": f'echo > "{folder}/swapfile"', "dnf": installs}
        for name in FAKED:
            self._tool(name, does.get(name, ""), self._bin / name)

    def _tool(self, name: str, further: str, file: Path) -> Path:
        text = TOOL.format(bash=self._bin / "bash", name=name, folder=self.folder, further=further)
        file.write_text(text, encoding="utf-8")
        file.chmod(0o755)
        return file

    def fails(self, tool: str, times: int = 1000) -> None:
        (self.folder / f"{tool}-fails").write_text(f"{times}\n", encoding="utf-8")

    def start(self) -> tuple[int, list[str]]:
        """Run the script; return its exit status and what it has called."""
        text = SCRIPT.read_text(encoding="utf-8")
        for path in ("/etc/", "/swapfile"):
            text = text.replace(path, f"{self.folder}{path}")
        calls = self.folder / "calls"
        calls.write_text("", encoding="utf-8")
        ran = subprocess.run([self._bin / "bash", "-c", text], env={"PATH": str(self._bin)}, check=False)
        return ran.returncode, calls.read_text(encoding="utf-8").splitlines()


def called(calls: list[str], tool: str) -> list[str]:
    return [call.removeprefix(f"{tool} ") for call in calls if call.split()[0] == tool]


def test_it_installs_what_it_needs_with_swap_and_patience(tmp_path: Path) -> None:
    instance = Instance(tmp_path, has_nft=False)
    instance.fails("dnf", times=3)
    status, calls = instance.start()
    assert (status, called(calls, "shutdown")) == (0, [])
    assert called(calls, "sleep") == ["5", "10", "20"]
    assert len(called(calls, "dnf")) == 4
    assert calls.index(f"swapon {tmp_path}/swapfile") < calls.index(next(call for call in calls if "dnf" in call))
    assert (tmp_path / "etc/sysctl.d/90-nat.conf").read_text(encoding="utf-8") == "net.ipv4.ip_forward = 1\n"
    # Both are there at the next start of the machine, which does not run the script.
    assert "enable nftables" in called(calls, "systemctl")
    assert "masquerade" in (tmp_path / "etc/sysconfig/nftables.conf").read_text(encoding="utf-8")


def test_it_installs_nothing_where_nothing_is_missing(tmp_path: Path) -> None:
    status, calls = Instance(tmp_path, has_nft=True).start()
    assert status == 0
    assert called(calls, "dnf") + called(calls, "swapon") + called(calls, "shutdown") == []


def test_it_can_run_again(tmp_path: Path) -> None:
    instance = Instance(tmp_path, has_nft=False)
    instance.start()
    status, calls = instance.start()
    assert status == 0
    assert called(calls, "dnf") + called(calls, "shutdown") == []


def test_it_gives_up_after_some_minutes(tmp_path: Path) -> None:
    instance = Instance(tmp_path, has_nft=False)
    instance.fails("dnf")
    status, calls = instance.start()
    assert status == 9
    assert called(calls, "shutdown") == ["--poweroff now"]
    assert 300 < sum(map(int, called(calls, "sleep"))) < 900


@pytest.mark.parametrize("tool", ["dd", "mkswap", "nft", "swapon", "sysctl", "systemctl"])
def test_whatever_fails_switches_the_instance_off(tmp_path: Path, tool: str) -> None:
    instance = Instance(tmp_path, has_nft=False)
    instance.fails(tool)
    status, calls = instance.start()
    assert status != 0
    assert called(calls, "shutdown") == ["--poweroff now"]


def test_rules_that_do_not_forward_switch_the_instance_off(tmp_path: Path) -> None:
    """All commands succeed, and the kernel has another chain than the script wrote."""
    instance = Instance(tmp_path, has_nft=True)
    (tmp_path / "other").write_text("accept\n", encoding="utf-8")
    nft = tmp_path / "bin" / "nft"
    nft.write_text(nft.read_text(encoding="utf-8").replace("etc/sysconfig/nftables.conf", "other"), encoding="utf-8")
    status, calls = instance.start()
    assert status != 0
    assert called(calls, "shutdown") == ["--poweroff now"]


@pytest.mark.plan
def test_the_group_launches_it_encrypted_tagged_and_to_be_replaced(root_plan: Callable[[str], Plan]) -> None:
    plan = root_plan("dev")
    template, group = one(plan, "aws_launch_template"), one(plan, "aws_autoscaling_group")
    assert base64.b64decode(template["user_data"]) == SCRIPT.read_bytes()
    assert template["instance_initiated_shutdown_behavior"] == "terminate"
    assert template["block_device_mappings"][0]["ebs"][0]["encrypted"] == "true"
    tags = {
        "CostCenter": "engineering",
        "Environment": "dev",
        "Name": "payment-dev-nat",
        "Project": "payment-processing",
    }
    assert {found["resource_type"]: found["tags"] for found in template["tag_specifications"]} == {
        "instance": tags,
        "volume": tags,
    }
    assert {tag["key"]: tag["value"] for tag in group["tag"]} == tags
    # It needs no right for any of this.
    assert template["iam_instance_profile"] == []


@pytest.mark.plan
def test_it_is_launched_when_its_way_to_the_internet_is_complete(root_plan: Callable[[str], Plan]) -> None:
    configuration = root_plan("dev")["configuration"]["root_module"]["module_calls"]["network"]["module"]["resources"]
    (group,) = [found for found in configuration if found["address"] == "aws_autoscaling_group.nat"]
    assert set(group["depends_on"]) == {
        "aws_eip.nat_instance",
        "aws_route.internet",
        "aws_route_table_association.public",
        "aws_vpc_security_group_egress_rule.nat",
    }
