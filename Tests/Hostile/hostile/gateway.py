"""A router that speaks UPnP: SSDP on the test's network, and a device behind HTTP."""

import http.server
import re
import socket
import struct
import subprocess
import threading

HERE = "10.77.0.1"
GROUP = ("239.255.255.250", 1900)
SERVICE = "urn:schemas-upnp-org:service:WANIPConnection:1"
DEVICE = "urn:schemas-upnp-org:device:InternetGatewayDevice:1"

DESCRIPTION = """<?xml version="1.0"?>
<root xmlns="urn:schemas-upnp-org:device-1-0"><URLBase>{base}</URLBase><device><deviceType>{device}</deviceType>
<deviceList><device><deviceType>urn:schemas-upnp-org:device:WANDevice:1</deviceType>
<serviceList><service><serviceType>urn:schemas-upnp-org:service:WANCommonInterfaceConfig:1</serviceType>
<serviceId>urn:upnp-org:serviceId:WANCommonIFC1</serviceId><controlURL>/common</controlURL><eventSubURL>/event</eventSubURL>
<SCPDURL>/scpd</SCPDURL></service></serviceList>
<deviceList><device><deviceType>urn:schemas-upnp-org:device:WANConnectionDevice:1</deviceType>
<serviceList><service><serviceType>{service}</serviceType><serviceId>urn:upnp-org:serviceId:WANIPConn1</serviceId>
<controlURL>/control</controlURL><eventSubURL>/event</eventSubURL><SCPDURL>/scpd</SCPDURL></service></serviceList>
</device></deviceList></device></deviceList></device></root>"""

ENVELOPE = """<?xml version="1.0"?>
<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>{body}</s:Body></s:Envelope>"""
FAULT = """<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail>
<UPnPError xmlns="urn:schemas-upnp-org:control-1-0"><errorCode>{code}</errorCode></UPnPError></detail></s:Fault>"""

ANSWERS = {
    "GetStatusInfo": "<NewConnectionStatus>Connected</NewConnectionStatus><NewLastConnectionError>ERROR_NONE"
                     "</NewLastConnectionError><NewUptime>1</NewUptime>",
    "GetExternalIPAddress": "<NewExternalIPAddress>45.98.7.7</NewExternalIPAddress>",
    "AddPortMapping": "", "DeletePortMapping": "",
}


class Gateway:
    """`control` is where the device says that it is commanded, by default here; `refuse` {action: error code};
    `actions` what was asked of it, in order."""

    def __init__(self, control=None, refuse=None, answers=None):
        self.actions, self.refuse, self.answers = [], refuse or {}, {**ANSWERS, **(answers or {})}
        # A way out, so that there is a router to look for; nobody is there.
        subprocess.run(["ip", "route", "add", "default", "via", "10.77.0.253"], check=True)
        self.web = http.server.ThreadingHTTPServer((HERE, 0), self._handler())
        self.base = f"http://{HERE}:{self.web.server_port}"
        self.control = control or self.base
        self.ssdp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.ssdp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.ssdp.bind(GROUP)
        self.ssdp.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                             struct.pack("4s4s", socket.inet_aton(GROUP[0]), socket.inet_aton(HERE)))
        for work in (self.web.serve_forever, self._announce):
            threading.Thread(target=work, daemon=True).start()

    def _announce(self):
        while True:
            question, asker = self.ssdp.recvfrom(2048)
            if DEVICE.encode() in question:
                self.actions.append("discover")
                self.ssdp.sendto((f"HTTP/1.1 200 OK\r\nST: {DEVICE}\r\nUSN: uuid:1::{DEVICE}\r\n"
                                  f"LOCATION: {self.base}/device.xml\r\n\r\n").encode(), asker)

    def _handler(self):
        gateway = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                gateway.actions.append("describe")
                self._answer(200, DESCRIPTION.format(base=gateway.control, device=DEVICE, service=SERVICE))

            def do_POST(self):
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                action = re.search(r"#(\w+)", self.headers.get("SOAPAction", ""))[1]
                gateway.actions.append(action)
                if action in gateway.refuse or action not in gateway.answers:
                    code = gateway.refuse.get(action, 401)
                    return self._answer(500, ENVELOPE.format(body=FAULT.format(code=code)))
                body = f'<u:{action}Response xmlns:u="{SERVICE}">{gateway.answers[action]}</u:{action}Response>'
                return self._answer(200, ENVELOPE.format(body=body))

            def _answer(self, status, text):
                self.send_response(status)
                self.send_header("Content-Type", "text/xml")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_):
                pass

        return Handler
