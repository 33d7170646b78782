"""Plays a case and says what was wrong. Only one verdict passes: exactly what the case says, in order."""

from case import Answered, Failed, Message, Part, Quiet, Send, WeClose, close
from peer import Ended, Violation


def shorten(value):
    words = repr(value)
    return words if len(words) < 200 else f"{words[:150]} … {len(words)} characters"


def body_code(body):
    return int.from_bytes(body[:2], "big") if body else None


def play(case, peer):
    """Plays `case`; raises `Violation` if the product does not do what the case says."""
    try:
        take_steps(case, peer)
        first = receive_answers(case, peer)
        if isinstance(case.end, WeClose):
            peer.send(Send((close(1000),)))
            first = peer.receive()
        if not isinstance(first, bytes):
            raise Violation(f"expected a CLOSE, got {shorten(first)}")
        check_close(case.end, first)
        finish(case.end, peer)
    except Ended as ended:
        raise Violation(f"the connection ended too early {ended}") from None
    finally:
        peer.drop()


def take_steps(case, peer):
    for step in case.steps:
        try:
            if isinstance(step, Send):
                peer.send(step)
            elif isinstance(step, Part):
                peer.send_part(step)
            elif isinstance(step, Quiet):
                if not peer.is_quiet(step.seconds):
                    raise Violation("something came before the violation")
            elif (received := peer.receive()) != step:
                raise Violation(f"expected {shorten(step)}, got {shorten(received)}")
        except OSError:
            # A peer that fails the connection need not read anything after the violation.
            if isinstance(case.end, WeClose):
                raise Ended("while we sent") from None
            return


def receive_answers(case, peer):
    """Checks the answers; returns the first other event, if it has arrived already."""
    for answer in case.answers:
        received = peer.receive()
        if isinstance(received, bytes) and case.answers_optional:
            return received
        if received != answer:
            raise Violation(f"expected {shorten(answer)}, got {shorten(received)}")
    return None if isinstance(case.end, WeClose) else peer.receive()


def check_close(end, body):
    code = body_code(body)
    allowed = {WeClose: (1000,), Answered: getattr(end, "codes", ()), Failed: (getattr(end, "code", 0),)}[type(end)]
    if code not in allowed:
        raise Violation(f"closed with {code}, expected {allowed}: {body[2:]!r}")


def finish(end, peer):
    """RFC 6455 §7.1.1: the server closes the connection first."""
    if isinstance(end, Failed) and not peer.is_client:
        # A peer that fails the connection is answered, and may have disconnected already.
        try:
            peer.send(Send((close(end.code),)))
        except OSError:
            pass
    if not peer.is_client:
        peer.end()
    in_order = peer.wait_for_end()
    # What comes after a violation need not be read, and is then answered by a reset.
    if not in_order and not isinstance(end, Failed):
        raise Violation("the connection was reset instead of closed")


def expect(peer, opcode, payload):
    received = peer.receive()
    if received != Message(opcode, payload):
        raise Violation(f"expected {shorten(Message(opcode, payload))}, got {shorten(received)}")
