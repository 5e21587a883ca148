# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""One VPC with every kind of gateway, and what lies behind each: the state of the tests that go through them all.

    vpc-1 10.0.0.0/16   s0 public   p 10.0.0.10 (203.0.113.10), the NAT gateway 10.0.0.220 (203.0.113.220)
                        s1 private  a .1.10, a2 .1.11; out by the NAT gateway, the egress-only gateway and all the rest
                        s2          b .2.20, and e .2.80, which is an interface endpoint
                        s3          m .3.30 (203.0.113.30), a middlebox for s4 (q .4.10) and s5 (r .5.10, 203.0.113.50)
                        u1          the transit gateway's attachment
    vpc-2 10.2.0.0/16   c .1.30, peered with vpc-1
    vpc-3 10.3.0.0/16   d .1.40, behind the transit gateway
    and the internet, a site behind a virtual private gateway, a service behind a gateway endpoint (fabric.py)
"""
from vpcnet.fabric import SERVICE4, SITE4
from vpcnet.vpc import ANYWHERE, State, allow

A, A2, B, E, P, M, Q, R, C, D = ("10.0.1.10", "10.0.1.11", "10.0.2.20", "10.0.2.80", "10.0.0.10", "10.0.3.30", "10.0.4.10", "10.0.5.10",
                                 "10.2.1.30", "10.3.1.40")
NAT, QNAT, QP, QM, QR = "10.0.0.220", "203.0.113.220", "203.0.113.10", "203.0.113.30", "203.0.113.50"
A6, P6, M6, D6 = "2001:db8:1:1::10", "2001:db8:1::10", "2001:db8:1:3::30", "2001:db8:3:1::40"
ENIS = {"a": (A, "s1"), "a2": (A2, "s1"), "b": (B, "s2"), "e": (E, "s2"), "p": (P, "s0"), "m": (M, "s3"), "q": (Q, "s4"), "r": (R, "s5"),
        "c": (C, "t"), "d": (D, "w")}
PUBLIC = {"p": QP, "m": QM, "r": QR}
SIX = {"a": A6, "p": P6, "m": M6, "d": D6}
OPEN = [allow("-1", None, *ANYWHERE)]
TRACKED = [allow("-1", None, "0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1")]  # not open to all, so errors need no rule (CT-14)


def _networks(state):
    state.vpc("vpc-1", "10.0.0.0/16", "2001:db8:1::/56")
    state.vpc("vpc-2", "10.2.0.0/16")
    state.vpc("vpc-3", "10.3.0.0/16", "2001:db8:3::/56")
    for number in range(6):
        state.subnet(f"s{number}", "vpc-1", f"10.0.{number}.0/24", f"2001:db8:1:{number}::/64")
    state.subnet("u1", "vpc-1", "10.0.8.0/24")
    state.subnet("t", "vpc-2", "10.2.1.0/24")
    state.subnet("w", "vpc-3", "10.3.1.0/24", "2001:db8:3:1::/64")
    state.subnet("u3", "vpc-3", "10.3.8.0/24")


def _gateways(state):
    state.internet_gateway("igw-1", "vpc-1")
    state["EgressOnlyInternetGateways"] = [{"EgressOnlyInternetGatewayId": "eigw-1",
                                            "Attachments": [{"VpcId": "vpc-1", "State": "attached"}]}]
    state["VpnGateways"] = [{"VpnGatewayId": "vgw-1", "State": "available",
                             "VpcAttachments": [{"VpcId": "vpc-1", "State": "attached"}]}]
    state["PrefixLists"] = [{"PrefixListId": "pl-s3", "PrefixListName": "com.amazonaws.eu-west-1.s3", "Cidrs": [SERVICE4]}]
    state["VpcEndpoints"] = [{"VpcEndpointId": "vpce-1", "VpcEndpointType": "Gateway", "VpcId": "vpc-1", "State": "available",
                              "ServiceName": "com.amazonaws.eu-west-1.s3"}]
    state.nat_gateway("nat-1", "s0", "eni-nat", NAT, QNAT)
    state.peering("pcx-1", "vpc-1", "vpc-2")
    state.transit_gateway("tgw-1", {"att-1": ("vpc-1", ["u1"]), "att-3": ("vpc-3", ["u3"])})


def _tables(state):
    near = [("10.2.0.0/16", "pcx-1"), ("10.3.0.0/16", "tgw-1"), ("2001:db8:3::/56", "tgw-1"), (SITE4, "vgw-1"), ("pl-s3", "vpce-1")]
    state.table("rtb-main", "vpc-1")
    state.table("rtb-s0", "vpc-1", [("0.0.0.0/0", "igw-1"), ("::/0", "igw-1"), *near], subnets=["s0"])
    state.table("rtb-s1", "vpc-1", [("0.0.0.0/0", "nat-1"), ("::/0", "eigw-1"), *near], subnets=["s1"])
    state.table("rtb-s3", "vpc-1", [("0.0.0.0/0", "igw-1"), ("::/0", "igw-1")], subnets=["s3"])
    state.table("rtb-s4", "vpc-1", [("0.0.0.0/0", "eni-m")], subnets=["s4", "s5"])
    state.table("rtb-edge", "vpc-1", [("10.0.5.0/24", "eni-m")], gateway="igw-1")
    state.table("rtb-2", "vpc-2", [("10.0.0.0/16", "pcx-1")])
    state.table("rtb-3", "vpc-3", [("10.0.0.0/16", "tgw-1"), ("2001:db8:1::/56", "tgw-1")])


def make_state(hook="auto", rules=None, taps=("a2",)):
    """rules: ENI's name -> (ingress, egress) of its group; all open, and tracked, where not named. taps: whose device is one."""
    state = State()
    _networks(state)
    _gateways(state)
    _tables(state)
    for name, (address, subnet) in ENIS.items():
        ingress, egress = (rules or {}).get(name, (OPEN, TRACKED))
        state.group("sg-" + name, state.find("Subnets", subnet)["VpcId"], ingress, egress)
        state.eni("eni-" + name, subnet, address, ["sg-" + name], SIX.get(name), PUBLIC.get(name), check=name != "m")
    state.find("NetworkInterfaces", "eni-e")["InterfaceType"] = "vpc_endpoint"
    state.host("host-a", [("eni-" + name, ("tap-" if name in taps else "veth-") + name, {"Hook": hook}) for name in ENIS],
               [("igw-1", "up0"), ("vgw-1", "site0"), ("vpce-1", "svc0")])
    state["Hosts"][0]["Ports"].append({"NetworkInterfaceId": "eni-nat"})
    return state


def make_middlebox(guest):
    """m forwards; it masks q, who has no public address, and nobody else."""
    guest.sysctl(net__ipv4__ip_forward=1, net__ipv4__conf__all__rp_filter=0, net__ipv4__conf__eth0__rp_filter=0,
                 net__ipv4__conf__all__send_redirects=0, net__ipv4__conf__eth0__send_redirects=0)
    guest.run("nft", "-f", "-", text_in="table ip mask {\nchain out {\ntype nat hook postrouting priority 100;\n"
              f"ip saddr {Q} masquerade\n}}\n}}\n")
