"""Point 24: being admitted again and again costs nothing, and ends."""

from hostile.node import assert_alive


def p24_repeated_admissions(lab):
    """A member proves the key a hundred times on one session."""
    node = lab.listen()
    peer = lab.member(node)
    again = 0
    for _ in range(100):
        if peer.closed or not peer.admit(lab.realm):
            break
        again += 1
    assert_alive(node)
    assert again < 100, "any number of admissions on one session"
