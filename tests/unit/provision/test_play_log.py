"""What ansible-playbook says is told task by task, and a failure in one line."""

from __future__ import annotations

from labctl.provision.play_log import Failure, PlayLog, Recap

RUN = """
PLAY [A lab node] **************************************************************

TASK [Wait for the machine] ****************************************************
ok: [w1]

TASK [Install the engine and its tools] ****************************************
changed: [w1]

RUNNING HANDLER [Restart sshd] *************************************************
changed: [w1]

PLAY RECAP *********************************************************************
w1                         : ok=12   changed=3    unreachable=0    failed=0    skipped=4    rescued=0    ignored=0
"""


def heard(text: str) -> tuple[PlayLog, list[str]]:
    log = PlayLog()
    return log, [told for line in text.splitlines() if (told := log.hear(line))]


def test_each_task_is_told() -> None:
    _, told = heard(RUN)

    assert told == ["Wait for the machine", "Install the engine and its tools", "Restart sshd"]


def test_the_sum_is_kept() -> None:
    log, _ = heard(RUN)

    assert log.recaps == {"w1": Recap(ok=12, changed=3)}
    assert log.failures == []


def test_a_failure_names_node_task_and_reason() -> None:
    log, told = heard(
        "TASK [Packages] ****\n"
        'fatal: [w1]: FAILED! => {"changed": false, "msg": "No package matching \'nothing\' is available"}'
    )

    assert log.failures == [Failure("w1", "Packages", "No package matching 'nothing' is available")]
    assert told[-1] == "w1: Packages: failed"


def test_a_failed_command_is_told_with_its_last_line() -> None:
    log, _ = heard(
        "TASK [Start the engine] ****\n"
        'fatal: [w1]: FAILED! => {"msg": "non-zero return code", "rc": 1, "stderr": "Job failed.\\nSee journalctl."}'
    )

    assert log.failures[0].reason == "non-zero return code: See journalctl."


def test_a_machine_that_does_not_answer_is_told_as_such() -> None:
    log, _ = heard(
        "TASK [Wait for the machine] ****\n"
        'fatal: [w2]: UNREACHABLE! => {"msg": "Failed to connect to the host via ssh: timed out", "unreachable": true}'
    )

    assert log.failures[0] == Failure(
        "w2", "Wait for the machine", "it cannot be reached: Failed to connect to the host via ssh: timed out"
    )


def test_a_failed_item_of_a_loop_is_a_failure() -> None:
    log, _ = heard('failed: [w1] (item=/etc/apt/x) => {"msg": "Destination is not writable"}')

    assert [failure.reason for failure in log.failures] == ["Destination is not writable"]


def test_what_is_tried_again_is_no_failure() -> None:
    log, told = heard("FAILED - RETRYING: [w1]: Fetch the package lists (4 retries left).")

    assert (log.failures, told) == ([], ["w1: Fetch the package lists: failed, trying again"])


def test_what_no_task_explains_is_told_by_the_last_line_that_sounds_like_an_error() -> None:
    log, _ = heard("[ERROR]: the playbook could not be found\nsome more\n")

    assert log.last_words() == "[ERROR]: the playbook could not be found"


def test_silence_is_told_too() -> None:
    assert PlayLog().last_words() == "it said nothing"
