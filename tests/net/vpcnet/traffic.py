# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Real listeners and real clients, in the namespaces of guests.

Answers are words, so that a failing test can say what happened instead: TCP "open", "refused" or "silent"; UDP
"answered", "refused" or "silent".
"""
import errno
import selectors
import socket
import struct
import threading
import time

from vpcnet.agent import SLOW

OPEN_TIMEOUT = 3.2 * SLOW  # long enough for a second SYN
DENIED_TIMEOUT = 0.6 * SLOW
UDP_SEGMENT = 103


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class Listeners:
    """Echo servers of any guest, TCP and UDP, both families, served by one thread."""

    def __init__(self):
        self._selector = selectors.DefaultSelector()
        self._wake_r, self._wake_w = socket.socketpair()
        self._selector.register(self._wake_r, selectors.EVENT_READ, self._woken)
        self._running = True
        self.peers = {}  # port -> last peer address seen
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._running = False
        self._wake_w.send(b"x")
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()
        self._selector.close()
        self._wake_w.close()

    def _add(self, listener, port, handler):
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(("::", port))
        if listener.type == socket.SOCK_STREAM:
            listener.listen(128)
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ, handler)
        self._wake_w.send(b"x")
        return listener

    def tcp(self, guest, *ports):
        for port in ports:
            listener = guest.socket(socket.AF_INET6, socket.SOCK_STREAM)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._add(listener, port, self._accept)

    def udp(self, guest, *ports, prefix=b""):
        """prefix is put before what is echoed: it tells whose answer it was."""
        for port in ports:
            listener = guest.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            self._add(listener, port, lambda sock: self._answer(sock, prefix))

    def sink(self, guest, *ports):
        """UDP ports that take everything and say nothing, not even that they are closed."""
        for port in ports:
            listener = guest.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            self._add(listener, port, lambda sock: sock.recv(65536))

    def _serve(self):
        while self._running:
            for key, _ in self._selector.select():
                try:
                    key.data(key.fileobj)
                except OSError as error:
                    if error.errno not in (errno.EAGAIN, errno.ECONNREFUSED, errno.ENETUNREACH, errno.EHOSTUNREACH):
                        self._selector.unregister(key.fileobj)
                        key.fileobj.close()

    @staticmethod
    def _woken(sock):
        sock.recv(64)

    def _accept(self, listener):
        connection, peer = listener.accept()
        self.peers[listener.getsockname()[1]] = peer[0].removeprefix("::ffff:")
        connection.setblocking(False)
        self._selector.register(connection, selectors.EVENT_READ, self._echo)

    def _echo(self, connection):
        data = connection.recv(65536)
        if data:
            connection.setblocking(True)  # an echo must not be cut when the client reads slowly
            connection.sendall(data)
            connection.setblocking(False)
        else:
            self._selector.unregister(connection)
            connection.close()

    def _answer(self, sock, prefix):
        data, peer = sock.recvfrom(65536)
        self.peers[sock.getsockname()[1]] = peer[0].removeprefix("::ffff:")
        sock.sendto(prefix + data, peer)


class Session:
    """An open TCP connection to an echo server."""

    def __init__(self, guest, address, port, sport=0, timeout=OPEN_TIMEOUT, source=""):
        self.socket = guest.socket(family_of(address), socket.SOCK_STREAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(timeout)
        try:
            if sport or source:
                self.socket.bind((source, sport))
            self.socket.connect((address, port))
        except BaseException:
            self.socket.close()
            raise

    def echo(self, data=b"ping", timeout=OPEN_TIMEOUT):
        """Whether the server answers with what it was sent."""
        self.socket.settimeout(timeout)
        try:
            self.socket.sendall(data)
            got = b""
            while len(got) < len(data):
                part = self.socket.recv(65536)
                if not part:
                    return False
                got += part
        except OSError:
            return False
        return got == data

    def finish(self, timeout=OPEN_TIMEOUT):
        """Close both ways, and return what the stack says that it sent: {"segments", "bytes", "retransmitted"}; bytes
        without headers, those of retransmissions too."""
        self.socket.settimeout(timeout)
        self.socket.shutdown(socket.SHUT_WR)
        while self.socket.recv(65536):
            pass
        return self.sent()

    def sent(self):
        info = self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        (retransmitted,), (segments,) = struct.unpack_from("=I", info, 100), struct.unpack_from("=I", info, 136)
        return {"segments": segments, "bytes": struct.unpack_from("=Q", info, 200)[0], "retransmitted": retransmitted}

    def abort(self):
        """Close with a RST, so that nothing is sent again later."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def tcp(guest, address, port, expect_open=True, data=b"hello", source=""):
    """Connect and exchange data. expect_open only sets the patience."""
    patience = OPEN_TIMEOUT if expect_open else DENIED_TIMEOUT
    try:
        with Session(guest, address, port, timeout=patience, source=source) as session:
            return "open" if session.echo(data) else "open, but no data"
    except ConnectionRefusedError:
        return "refused"
    except TimeoutError:
        return "silent"
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))


def udp(guest, address, port, expect_answer=True, data=b"hello", sport=0, ret_data=None):
    """Send a datagram up to three times and wait for the answer, which is appended to ret_data."""
    with guest.socket(family_of(address), socket.SOCK_DGRAM) as sock:
        if sport:
            sock.bind(("", sport))
        sock.connect((address, port))
        sock.settimeout((1.0 if expect_answer else 0.2) * SLOW)
        for _ in range(3):
            try:
                sock.send(data)
                answer = sock.recv(65536)
                if ret_data is not None:
                    ret_data.append(answer)
                return "answered"
            except ConnectionRefusedError:
                return "refused"
            except TimeoutError:
                continue
            except OSError as error:
                return errno.errorcode.get(error.errno, str(error))
    return "silent"


def ping(guest, address, expect_answer=True, size=56, count=1):
    """Whether all echo requests are answered."""
    patience = max(1, round((2 if expect_answer else 1) * SLOW))
    done = guest.run("ping", "-n", "-q", "-c", str(count), "-i", "0.2", "-W", str(patience), "-s", str(size), address,
                     check=False, timeout=(20 + count) * SLOW)
    return f" {count} received" in done.stdout


class Stream:
    """Numbered datagrams at a steady rate, and a receiver that knows which arrived: nothing may be lost, or nothing may
    pass, while something else happens."""

    def __init__(self, source, target, address, port, rate=2000):
        family = family_of(address)
        self.sent = 0
        self.got = set()
        self._rate = rate
        self._running = True
        self._receiver = target.socket(family, socket.SOCK_DGRAM)
        self._receiver.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
        if family == socket.AF_INET6:
            self._receiver.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        self._receiver.bind(("", port))
        self._receiver.settimeout(0.1)
        self._sender = source.socket(family, socket.SOCK_DGRAM)
        self._sender.connect((address, port))
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._receive, self._send)]
        for thread in self._threads:
            thread.start()

    def _send(self):
        began = time.monotonic()
        while self._running:
            due = int((time.monotonic() - began) * self._rate) - self.sent
            for _ in range(min(due, 64)):
                try:
                    self._sender.send(struct.pack("!Q", self.sent))
                except OSError:  # a refused datagram before this one: this one was not sent
                    continue
                self.sent += 1
            time.sleep(0.001)

    def _receive(self):
        while True:
            try:
                data = self._receiver.recv(2048)
            except TimeoutError:
                if self._running is None:
                    return
                continue
            self.got.add(struct.unpack("!Q", data[:8])[0])

    def stop(self):
        """Stop sending, let the last ones arrive, and return (sent, lost)."""
        if self._running:
            self._running = False
            self._threads[1].join()
            time.sleep(0.3 * SLOW)
            self._running = None
            self._threads[0].join()
            self._receiver.close()
            self._sender.close()
        return self.sent, self.sent - len(self.got)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def send_segments(guest, address, port, size, segments, times):
    """UDP segmentation offload: `times` sends of `segments` datagrams of `size` bytes each."""
    with guest.socket(family_of(address), socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, size)
        sock.connect((address, port))
        for _ in range(times):
            sock.send(bytes(size * segments))
            time.sleep(0.002)
        return sock.getsockname()[1]


def trace_route(guest, address, hops=4, port=33434):
    """Who answers to datagrams of each time to live: [address of the router, ..., "arrived"], None for silence."""
    six = ":" in address
    level, receive, ttl_option = (41, 25, 16) if six else (0, 11, 2)  # IPV6_RECVERR, IPV6_UNICAST_HOPS | IP_...
    path = []
    for ttl in range(1, hops + 1):
        with guest.socket(family_of(address), socket.SOCK_DGRAM) as sock:
            sock.setsockopt(level, receive, 1)
            sock.setsockopt(level, ttl_option, ttl)
            sock.connect((address, port + ttl))
            sock.send(b"trace")
            path.append(_icmp_answer(sock))
        if path[-1] == "arrived":
            break
    return path


def _icmp_answer(sock):
    """The router that sent an ICMP error for this socket's datagram: its address, or "arrived" for a closed port."""
    until = time.monotonic() + 1.5 * SLOW
    while time.monotonic() < until:
        try:
            _, control, _, _ = sock.recvmsg(2048, 1024, socket.MSG_ERRQUEUE)
        except BlockingIOError:
            time.sleep(0.01)
            continue
        for _, _, data in control:
            error, _, _, _, _, _ = struct.unpack_from("=IBBBBI", data)
            if error == errno.ECONNREFUSED:
                return "arrived"
            family, = struct.unpack_from("=H", data, 16)
            if family == socket.AF_INET6:
                return socket.inet_ntop(family, data[24:40])
            return socket.inet_ntop(socket.AF_INET, data[20:24])
    return None
