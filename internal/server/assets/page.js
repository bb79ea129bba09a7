"use strict";
// A button beside each text that is to be copied.
for (const text of document.querySelectorAll("pre.copy")) {
	const button = document.createElement("button");
	button.type = "button";
	button.className = "plain";
	button.textContent = "Copy";
	button.addEventListener("click", async () => {
		let done = false;
		try {
			await navigator.clipboard.writeText(text.textContent);
			done = true;
		} catch {
			// Without TLS there is no clipboard: select the text and ask for it.
			const range = document.createRange();
			range.selectNodeContents(text);
			getSelection().removeAllRanges();
			getSelection().addRange(range);
			done = document.execCommand("copy");
		}
		button.textContent = done ? "Copied" : "Press Ctrl+C";
		setTimeout(() => { button.textContent = "Copy"; }, 3000);
	});
	const box = document.createElement("div");
	box.className = "copybox";
	text.replaceWith(box);
	box.append(text, button);
}
// A second click does not send a form again: the answer to the first, which may
// hold a secret, would be lost.
for (const form of document.forms) {
	form.addEventListener("submit", (event) => {
		if (form.dataset.sent) {
			event.preventDefault();
		}
		form.dataset.sent = "yes";
	});
}
// A page that the browser has kept can send its forms again.
addEventListener("pageshow", () => {
	for (const form of document.forms) {
		delete form.dataset.sent;
	}
});

// Live pages. The server tells which version of the state there is; a page that
// shows another one fetches itself and takes over what differs, so that focus,
// scrolling and open details stay.
const main = document.querySelector("main[data-version]");
if (main && "EventSource" in window) {
	live(main, document.getElementById("live"));
}

function live(main, note) {
	let source, busy = false, again = false;
	const say = (text) => {
		if (note.textContent !== text) {
			note.textContent = text;
		}
	};
	const update = async () => {
		if (busy) {
			again = true;
			return;
		}
		busy = true;
		try {
			const answer = await fetch(location.href, { cache: "no-store" });
			if (answer.redirected) { // the login has ended
				location.reload();
				return;
			}
			const page = new DOMParser().parseFromString(await answer.text(), "text/html");
			const fresh = page.querySelector("main");
			if (fresh) {
				take(main, fresh);
				document.title = page.title;
			}
		} catch {
			say("Connection lost, trying again");
		}
		busy = false;
		if (again) {
			again = false;
			update();
		}
	};
	const watch = () => {
		source = new EventSource("/live");
		source.addEventListener("version", (event) => {
			say("Live");
			if (event.data !== main.dataset.version) {
				update();
			}
		});
		source.addEventListener("error", () => {
			say(source.readyState === EventSource.CLOSED ? "Not live: reload to see what is new" : "Connection lost, trying again");
		});
	};
	// Nobody looks at a hidden page.
	document.addEventListener("visibilitychange", () => {
		source.close();
		if (!document.hidden) {
			watch();
		}
	});
	addEventListener("pagehide", () => source.close());
	addEventListener("pageshow", (event) => {
		if (event.persisted) {
			watch();
		}
	});
	watch();
}

// take makes one element like another, and keeps what is the same.
function take(old, fresh) {
	const focused = document.activeElement;
	become(old, fresh);
	if (focused !== document.activeElement && focused.isConnected && old.contains(focused)) {
		focused.focus({ preventScroll: true }); // it was moved
	}
}

function become(old, fresh) {
	for (const { name } of [...old.attributes]) {
		// Whether details are open is the reader's.
		if (!fresh.hasAttribute(name) && !(name === "open" && old.localName === "details")) {
			old.removeAttribute(name);
		}
	}
	for (const { name, value } of fresh.attributes) {
		if (old.getAttribute(name) !== value) {
			old.setAttribute(name, value);
		}
	}
	if (old.localName === "select") {
		return; // what was chosen is the reader's, too
	}
	becomeChildren(old, fresh);
}

function keyOf(node) {
	return node.nodeType === Node.ELEMENT_NODE ? node.dataset.key || node.id || node.getAttribute("aria-labelledby") || "" : "";
}

// likeFrom is the next child without a key that is the same kind of node.
function likeFrom(at, child) {
	while (at && (keyOf(at) || at.nodeName !== child.nodeName)) {
		at = at.nextSibling;
	}
	return at;
}

// becomeChildren goes through the children side by side. Those with a key are
// found again wherever they stand; those that are wanted no more go first, so
// that nothing has to be moved that only comes nearer to the top.
function becomeChildren(old, fresh) {
	const wanted = new Set();
	for (const child of fresh.childNodes) {
		wanted.add(keyOf(child));
	}
	const known = new Map();
	for (const child of [...old.childNodes]) {
		const key = keyOf(child);
		if (key && !wanted.has(key)) {
			child.remove();
		} else if (key) {
			known.set(key, child);
		}
	}
	let at = old.firstChild;
	for (const child of [...fresh.childNodes]) {
		const key = keyOf(child);
		const same = key ? known.get(key) : likeFrom(at, child);
		if (!same || same.nodeName !== child.nodeName) {
			old.insertBefore(document.importNode(child, true), at);
			continue;
		}
		if (same === at) {
			at = at.nextSibling;
		} else {
			old.insertBefore(same, at);
		}
		if (same.nodeType === Node.ELEMENT_NODE) {
			become(same, child);
		} else if (same.nodeValue !== child.nodeValue) {
			same.nodeValue = child.nodeValue;
			if (old.matches("td, dd, .phase, .state, a")) {
				old.classList.add("news");
				old.addEventListener("animationend", () => old.classList.remove("news"), { once: true });
			}
		}
	}
	while (at) {
		const next = at.nextSibling;
		at.remove();
		at = next;
	}
}
