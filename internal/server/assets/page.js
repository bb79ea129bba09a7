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
