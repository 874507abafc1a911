"""What the system does with the bytes that a client does not take."""

import fcntl
import socket
import struct
import sys
import termios

_RESET_AT_CLOSE = struct.pack("@ii", 1, 0)


def send_at_once(sock: socket.socket, data: memoryview) -> memoryview:
    """What the client does not take yet of `data`."""
    try:
        return data[sock.send(data) :]
    except BlockingIOError:
        return data


def unread_bytes(sock: socket.socket) -> int:
    """How much the system still keeps for the client."""
    (size,) = struct.unpack("@i", fcntl.ioctl(sock, termios.TIOCOUTQ, b"\0" * 4))
    return int(size)


def connections_waiting(listener: socket.socket) -> int:
    """How many clients wait to be accepted; 0 where the system does not say."""
    if listener.family not in (socket.AF_INET, socket.AF_INET6):
        return 0
    tcp_info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 28)
    return int.from_bytes(tcp_info[24:28], sys.byteorder)  # tcpi_unacked


def forget_unread_bytes(sock: socket.socket) -> None:
    """Have the system give them up with the connection."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
