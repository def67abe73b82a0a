#!/usr/bin/python3
"""The browser that WebKitWebDriver drives, instead of WebKitGTK's MiniBrowser: that one keeps no cache on disk while it
is driven, so no page would ever come out of the HTTP cache as it does for a person.

usage: webkit_window.py FOLDER PROXY    FOLDER for cookies and caches, PROXY such as http://127.0.0.1:3128

As a browser does it, the session of each page is kept in FOLDER, its history with it. Where FOLDER/open holds the address of
such a page, the next tab is restored from that session: a tab that is duplicated or opened again, or one of a former run.
"""

import base64
import json
import os
import signal
import sys

import gi

gi.require_version("Gtk", "3.0")
gi.require_version("WebKit2", "4.1")
from gi.repository import GLib, Gtk, WebKit2  # noqa: E402  the versions come first

folder, proxy = sys.argv[1:3]

data = WebKit2.WebsiteDataManager(base_data_directory=os.path.join(folder, "data"), base_cache_directory=os.path.join(folder, "cache"))
data.set_network_proxy_settings(WebKit2.NetworkProxyMode.CUSTOM, WebKit2.NetworkProxySettings.new(proxy, ["127.0.0.1", "localhost"]))
context = WebKit2.WebContext(website_data_manager=data)
context.set_automation_allowed(True)


session_file, open_file = os.path.join(folder, "session.json"), os.path.join(folder, "open")
sessions = {}
os.makedirs(folder, exist_ok=True)
with open(os.path.join(folder, "pid"), "w") as file:
    file.write(str(os.getpid()))
if os.path.exists(session_file):
    with open(session_file) as file:
        sessions = json.load(file)


def keep(view, event):
    if event != WebKit2.LoadEvent.FINISHED:
        return
    sessions[view.get_uri()] = base64.b64encode(view.get_session_state().serialize().get_data()).decode()
    with open(session_file + ".new", "w") as file:
        json.dump(sessions, file)
    os.replace(session_file + ".new", session_file)


def restore(view):
    if not os.path.exists(open_file):
        return
    with open(open_file) as file:
        state = sessions[file.read()]
    os.remove(open_file)
    view.restore_session_state(WebKit2.WebViewSessionState.new(GLib.Bytes.new(base64.b64decode(state))))
    view.go_to_back_forward_list_item(view.get_back_forward_list().get_current_item())


def new_view(_session):
    """A tab is a window of its own here: WebKit draws nothing in a tab behind another, and then a screenshot never
    ends.
    """
    view = WebKit2.WebView(web_context=context, is_controlled_by_automation=True)
    window = Gtk.Window(default_width=1280, default_height=900)
    window.add(view)
    window.show_all()
    view.connect("close", lambda _: window.destroy())
    view.connect("load-changed", keep)
    restore(view)
    return view


def started(_context, session):
    information = WebKit2.ApplicationInfo.new()
    information.set_name("WebKitGTK")
    information.set_version(WebKit2.get_major_version(), WebKit2.get_minor_version(), WebKit2.get_micro_version())
    session.set_application_info(information)
    session.connect("create-web-view", new_view)
    session.connect("will-close", lambda _: Gtk.main_quit())


context.connect("automation-started", started)
GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, signal.SIGTERM, Gtk.main_quit)
Gtk.main()
