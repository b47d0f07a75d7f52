"""The stand-in for nginx."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.integration.images.containers import CONTRACT_STOP, Stage

pytestmark = pytest.mark.lab

Build = Callable[..., str]


def test_welcome_page_on_port_80(image: Build, stage: Stage) -> None:
    answer = stage.start(image("nginx"), publish=80).ask(80)
    assert answer.status == 200
    assert "<title>Welcome to nginx!</title>" in answer.body
    assert answer.headers["Server"].startswith("nginx/1.")


def test_pages_of_the_html_folder(image: Build, stage: Stage) -> None:
    web = stage.start(image("nginx"), publish=80)
    web.execute("sh", "-c", "echo mine > /usr/share/nginx/html/index.html")
    assert web.ask(80).body == "mine\n"


def test_html_folder_as_a_volume(image: Build, stage: Stage) -> None:
    volume = stage.volume()
    web = stage.start(image("nginx"), publish=80, volume=f"{volume}:/usr/share/nginx/html")
    assert "Welcome to nginx!" in web.ask(80).body  # a new volume is filled from the image


def test_configuration_in_conf_d(image: Build, stage: Stage) -> None:
    web = stage.start(image("nginx"), publish=80)
    web.ask(80)
    assert "listen 80" in " ".join(web.execute("cat", "/etc/nginx/conf.d/default.conf").split())
    web.execute("sh", "-c", "echo 'server { listen 80; return 200 other; }' > /etc/nginx/conf.d/default.conf")
    assert web.execute("nginx", "-t") == ""
    web.execute("nginx", "-s", "reload")
    web.wait_for("the new configuration", "sh", "-c", "curl -s http://localhost/ | grep -q other")


def test_template_filled_with_the_environment(image: Build, stage: Stage) -> None:
    template = "server { listen 81; return 200 '${GREETING} $host'; }"
    script = 'mkdir /etc/nginx/templates && echo "$TEMPLATE" > /etc/nginx/templates/a.conf.template'
    start = f"{script}; exec /docker-entrypoint.sh nginx -g 'daemon off;'"
    environment = {"GREETING": "hello", "TEMPLATE": template}
    web = stage.start(image("nginx"), "-c", start, options=["--entrypoint", "sh"], env=environment, publish=81)
    assert web.ask(81, headers={"Host": "there"}).body == "hello there"


def test_script_of_docker_entrypoint_d(image: Build, stage: Stage) -> None:
    script = "printf '#!/bin/sh\\necho ran >&2\\n' > /docker-entrypoint.d/1.sh; chmod +x /docker-entrypoint.d/1.sh"
    start = f"{script}; exec /docker-entrypoint.sh nginx -g 'daemon off;'"
    web = stage.start(image("nginx"), "-c", start, options=["--entrypoint", "sh"], publish=80)
    web.ask(80)
    assert "ran\n" in web.logs()


def test_the_command_as_tutorials_write_it(image: Build, stage: Stage) -> None:
    web = stage.start(image("nginx"), "nginx", "-g", "daemon off;", publish=80)
    assert web.ask(80).status == 200
    assert "nginx version: nginx/1." in stage.once(image("nginx"), "nginx", "-v").stderr


def test_requests_and_errors_in_the_log(image: Build, stage: Stage) -> None:
    web = stage.start(image("nginx"), publish=80)
    assert web.ask(80, "/no-such-page").status == 404
    web.wait_for_log('"GET /no-such-page HTTP/1.1" 404')
    web.wait_for_log("open() ")


def test_user_and_signal(image: Build, stage: Stage) -> None:
    web = stage.start(image("nginx"), publish=80)
    web.ask(80)
    assert web.execute("id", "-u", "nginx").strip() == "101"
    workers = [line.split() for line in web.execute("ps", "-o", "user,args").splitlines() if "worker process" in line]
    assert {worker[0] for worker in workers} == {"nginx"}
    assert web.inspect()["Config"]["StopSignal"] == "SIGQUIT"
    assert web.inspect()["Config"]["Labels"]["labctl.standin"] == "nginx"


def test_ends_soon(image: Build, stage: Stage) -> None:
    web = stage.start(image("nginx"), publish=80)
    web.ask(80)
    assert web.stop() < CONTRACT_STOP
    assert web.exit_code() == 0


def test_tools(image: Build, stage: Stage) -> None:
    stage.start(image("probe"), alias="other")
    web = stage.start(image("nginx"), publish=80)
    web.ask(80)
    assert "Welcome" in web.execute("curl", "--silent", "--fail", "http://localhost")
    assert "Welcome" in web.execute("wget", "-qO-", "http://localhost")
    assert "1 packets received" in web.execute("ping", "-c", "1", "other")
    assert "Address" in web.execute("nslookup", "other")
