"""The judge itself: it detects a faulty server, case by case, and passes a correct one."""

import socket
import threading

import pytest

from case import CLOSE, PING, PONG, TEXT, close
from catalogue import BASE, by_number
from deflate import BadParameters, Compression, Parameters, check_answer, read_parameters
from judge import play
from peer import Peer, Violation
from raw_websocket import BINARY, CONTINUATION, encode_frame

CASES = by_number(BASE)
STARS = b"*" * 125


def frame(opcode, payload=b"", **options):
    return encode_frame(opcode, payload, masked=False, **options)


def closing(code):
    return frame(CLOSE, close(code).payload)


GOODBYE = closing(1000)
ECHO = frame(TEXT, b"Hello, world!")

RIGHT = {
    "1.1.2": frame(TEXT, STARS) + GOODBYE,
    "2.1": frame(PONG) + GOODBYE,
    "2.5": closing(1002),
    "3.2": ECHO + closing(1002),
    "5.19": frame(PONG, b"pongme 1!") + frame(PONG, b"pongme 2!")
    + frame(TEXT, b"fragment1fragment2fragment3fragment4fragment5") + GOODBYE,
    "7.1.3": GOODBYE,
    "7.1.6": GOODBYE,
    "7.3.1": frame(CLOSE),
    "7.7.2": closing(1001),
    "7.9.1": closing(1002),
}

WRONG = [
    ("1.1.2", "", "ended too early"),
    ("1.1.2", frame(BINARY, STARS) + GOODBYE, "expected Message"),
    ("1.1.2", frame(TEXT, STARS[1:]) + GOODBYE, "expected Message"),
    ("1.1.2", encode_frame(TEXT, STARS) + GOODBYE, "masked by a server"),
    ("1.1.2", frame(TEXT, STARS, length_form=16) + GOODBYE, "could be shorter"),
    ("1.1.2", frame(TEXT, STARS, length_form=64) + GOODBYE, "could be shorter"),
    ("1.1.2", frame(TEXT, STARS, reserved=4) + GOODBYE, "reserved bits"),
    ("1.1.2", frame(TEXT, STARS, final=False) + frame(TEXT, b"") + GOODBYE, "inside a message"),
    ("1.1.2", frame(CONTINUATION, STARS) + GOODBYE, "inside a message"),
    ("1.1.2", frame(TEXT, STARS), "ended too early"),
    ("1.1.2", frame(TEXT, STARS) + closing(1001), "closed with 1001"),
    ("1.1.2", frame(TEXT, STARS) + GOODBYE + frame(PING), "after the closing handshake"),
    ("1.1.2", frame(TEXT, STARS) * 2 + GOODBYE, "expected a CLOSE"),
    ("2.1", GOODBYE, "expected Pong"),
    ("2.1", frame(PONG, final=False) + GOODBYE, "a control frame"),
    ("2.5", frame(PONG, b"\xfe" * 126), "a control frame of 126"),
    ("2.5", closing(1009), "closed with 1009"),
    ("2.5", "", "ended too early"),
    ("2.7", frame(PONG) + GOODBYE, "expected a CLOSE"),
    ("3.2", ECHO + frame(PONG) + closing(1002), "expected a CLOSE"),
    ("3.2", closing(1002), "expected Message"),
    ("5.19", frame(PONG, b"pongme 2!") + RIGHT["5.19"], "expected Pong"),
    ("6.3.1", closing(1002), "closed with 1002"),
    ("6.4.3", closing(1007), "came before the violation"),
    ("6.4.1", "", "came before the violation"),
    ("7.1.2", GOODBYE * 2, "after the closing handshake"),
    ("7.1.3", frame(PONG) + GOODBYE, "expected a CLOSE"),
    ("7.1.3", GOODBYE + frame(PONG), "after the closing handshake"),
    ("7.1.5", frame(TEXT, b"fragment1fragment2") + GOODBYE, "expected a CLOSE"),
    ("7.3.2", frame(CLOSE, b"a"), "a close body of one byte"),
    ("7.3.3", "", "ended too early"),
    ("7.7.2", GOODBYE, "closed with 1000"),
    ("7.9.1", closing(0), "closed with 0"),
]


def judge(number, said):
    """Plays a case against a peer that sends `said`, whatever it receives."""
    ours, theirs = socket.socketpair()

    def speak():
        try:
            theirs.sendall(said or b"")
            theirs.shutdown(socket.SHUT_WR)
            while theirs.recv(65536):
                pass
        except OSError:
            pass
        finally:
            theirs.close()

    speaker = threading.Thread(target=speak)
    speaker.start()
    try:
        play(CASES[number], Peer(ours, is_client=True))
    finally:
        ours.close()
        speaker.join()


@pytest.mark.parametrize("number", RIGHT)
def test_correct_answers_pass(number):
    judge(number, RIGHT[number])


@pytest.mark.parametrize("number, said, words", WRONG)
def test_each_fault_is_detected(number, said, words):
    with pytest.raises(Violation, match=words):
        judge(number, said)


OFFER = Parameters(client_window=True, server_window=12)


@pytest.mark.parametrize(
    "answer",
    ["x-webkit-deflate-frame", "permessage-deflate", "permessage-deflate; server_max_window_bits=13",
     "permessage-deflate; server_max_window_bits=12; client_max_window_bits", "permessage-deflate; colour=1",
     "permessage-deflate; server_max_window_bits=12; server_max_window_bits=12"])
def test_invalid_agreements_are_detected(answer):
    with pytest.raises(BadParameters):
        check_answer(OFFER, read_parameters(answer))


def test_compression_that_was_not_agreed_is_detected():
    """A reference to the message before, and one further back than the window."""
    agreed = Parameters(server_no_context=True, server_window=9)
    cheat = Compression(Parameters(), is_client=False)
    reader = Compression(agreed, is_client=True)
    assert reader.decompress(cheat.compress(b"Hello again")) == b"Hello again"
    with pytest.raises(Exception, match="invalid distance"):
        reader.decompress(cheat.compress(b"Hello again"))
    reader = Compression(agreed, is_client=True)
    noise = bytes(range(256)) * 4
    with pytest.raises(Exception, match="invalid distance|window"):
        reader.decompress(Compression(Parameters(), is_client=False).compress(noise + b"-" * 600 + noise))
