package server

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
)

// axeScript is the variable that names a copy of axe-core, which is tried on
// each page beside our own checks.
const axeScript = "SCALER_AXE"

// nowhere is a page that there is not.
const nowhere = "/nowhere"

// scene is a state of the daemon in which pages are looked at.
type scene struct {
	name  string
	world *world
	paths []string
}

// allPaths are those of all pages, with what they are called in pictures.
var allPaths = []string{
	"/", "/pools", "/pools/linux", "/pools/arm", "/runners", "/runners/scaler-abcd-linux-000000", "/runners/scaler-abcd-linux-000000/log", "/queue", "/queue/4", "/events", "/config",
	"/tokens", "/tokens/new", "/tokens/stacks", "/tokens/stacks/revoke", "/pools/linux/pause", "/runners/scaler-abcd-linux-000000/drain", "/actions/reap", "/actions/reload", nowhere,
}

func scenes() []scene {
	return []scene{
		{"empty", emptyWorld(), []string{"/", "/pools", "/runners", "/queue", "/events", "/config", "/tokens"}},
		{"busy", busyWorld(40, 60), allPaths},
		{"broken", brokenWorld(), []string{"/", "/pools", "/pools/linux", "/pools/arm", "/queue", "/events", "/config"}},
	}
}

// fileName is a path in the name of a picture.
func fileName(path string) string {
	name := strings.Trim(strings.ReplaceAll(path, "/", "-"), "-")
	if name == "" {
		return "overview"
	}
	return name
}

// Every page is right on every screen: nothing is wider than the screen, what
// can be used has a name, headings are in order, text can be read.
func TestPagesOnAllScreens(t *testing.T) {
	for _, s := range scenes() {
		t.Run(s.name, func(t *testing.T) {
			b := openTab(t, s.world.web(t, gatewayConfig(t), newFakeTokens(stacks())))
			b.as(looks[0])
			b.open("/login")
			b.check("login")
			b.picture(s.name + "-login")
			b.login()
			for _, l := range looks {
				if l.narrowDark() && os.Getenv(screenshotsDir) == "" {
					continue // which is the one and the other, to look at
				}
				b.as(l)
				for _, path := range s.paths {
					where := fmt.Sprintf("%s %s %s", s.name, l.name, path)
					b.open(path)
					if path == nowhere {
						b.forgive() // that it is not there
					}
					b.check(where)
					if over := eval[int](b, "document.documentElement.scrollWidth - innerWidth"); over > 0 {
						b.Errorf("%s: the page is %d pixels wider than the screen: %s", where, over, eval[string](b, widest))
					}
					b.picture(fmt.Sprintf("%s-%s-%s", s.name, fileName(path), l.name))
				}
			}
		})
	}
}

// widest names what is too wide.
const widest = `[...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".scroll, pre")).map(e => e.outerHTML.slice(0, 120)).slice(0, 3).join("\n")`

// check looks for what keeps people from using a page.
func (b *tab) check(where string) {
	b.Helper()
	for _, fault := range eval[[]string](b, "("+checkScript+")()") {
		b.Errorf("%s: %s", where, fault)
	}
	b.checkNames(where)
	b.checkAxe(where)
	b.faultless(where)
}

// checkScript returns what is wrong with the page, by its document and styles.
const checkScript = `() => {
	const faults = [];
	const expect = (good, fault) => { if (!good) { faults.push(fault); } };
	const all = (query) => [...document.querySelectorAll(query)];
	const shown = (e) => e.checkVisibility();
	const text = (e) => e.outerHTML.slice(0, 150);
	expect(document.documentElement.lang === "en", "the page has no language");
	expect(document.title.length > " · scaler".length, "the page has no title");
	expect(all("h1").length === 1, "there are " + all("h1").length + " headings of level 1");
	expect(all("main").length === 1 && all("body > header").length === 1, "main or header is missing, or there twice");
	let level = 0;
	for (const h of all("h1, h2, h3, h4, h5, h6").filter(shown)) {
		const next = Number(h.localName[1]);
		expect(next <= level + 1, "a heading leaves out a level: " + text(h));
		level = next;
	}
	for (const nav of all("nav")) { expect(nav.getAttribute("aria-label"), "a nav has no label"); }
	for (const img of all("img")) { expect(img.getAttribute("alt"), "a picture has no text: " + text(img)); expect(img.complete && img.naturalWidth > 0, "a picture is broken: " + text(img)); }
	for (const th of all("th")) { expect(th.scope, "a heading of a table has no scope: " + text(th)); expect(th.textContent.trim(), "a heading of a table is empty"); }
	for (const row of all("tbody tr")) { expect(row.querySelector("th"), "a row has no heading: " + text(row)); }
	for (const e of all("[tabindex]")) { expect(e.tabIndex <= 0, "the order of the keyboard is set: " + text(e)); }
	for (const e of all(".scroll, pre.log")) { expect(e.tabIndex === 0 && e.getAttribute("role") && e.getAttribute("aria-label"), "what scrolls cannot be reached: " + text(e)); }
	for (const e of all("[style], style, script:not([src])")) { expect(false, "style or script in the page: " + text(e)); }
	const ids = new Set();
	for (const e of all("[id]")) { expect(!ids.has(e.id), "two have the id " + e.id); ids.add(e.id); }
	for (const f of all("input:not([type=hidden]), select")) { expect(f.labels && f.labels.length > 0, "a field has no label: " + text(f)); }
	for (const e of all("button, header a, .pager a").filter(shown)) { const r = e.getBoundingClientRect(); expect(r.height >= 20 || e.matches(".skip"), "too small to be hit: " + text(e)); }
	const parts = (color) => color.match(/[\d.]+/g).map(Number);
	const light = ([r, g, b]) => { const f = (c) => { c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; }; return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b); };
	const behind = (e) => { for (; e; e = e.parentElement) { const c = parts(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) { return c; } } return [255, 255, 255]; };
	const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (walker.nextNode()) {
		const e = walker.currentNode.parentElement;
		if (!walker.currentNode.nodeValue.trim() || !shown(e)) { continue; }
		const style = getComputedStyle(e), a = light(parts(style.color)), b = light(behind(e));
		const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), size = parseFloat(style.fontSize);
		const large = size >= 24 || size >= 18.66 && Number(style.fontWeight) >= 700;
		expect(contrast >= (large ? 3 : 4.5), "text is hard to read (" + contrast.toFixed(2) + "): " + text(e));
		expect(size >= 12, "text is too small (" + size + "): " + text(e));
	}
	return [...new Set(faults)];
}`

// checkNames goes through what assistive programs are told, and expects a name
// of each thing that can be used.
func (b *tab) checkNames(where string) {
	b.Helper()
	nodes := protocol(b, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{}).Nodes
	usable := map[string]bool{"link": true, "button": true, "textbox": true, "combobox": true, "radio": true, "checkbox": true, "image": true, "table": false, "region": true, "navigation": true, "DisclosureTriangle": true}
	seen := 0
	for _, n := range nodes {
		if n.Ignored || n.Role == nil {
			continue
		}
		role := textOf(n.Role)
		if usable[role] {
			seen++
			if strings.TrimSpace(textOf(n.Name)) == "" {
				b.Errorf("%s: a %s has no name (node %d)", where, role, n.BackendDOMNodeID)
			}
		}
	}
	if seen == 0 {
		b.Errorf("%s: the accessibility tree has nothing that can be used", where)
	}
}

// textOf is a value of the accessibility tree as text.
func textOf(v *accessibility.Value) string {
	if v == nil {
		return ""
	}
	var text string
	if json.Unmarshal(v.Value, &text) != nil {
		return string(v.Value)
	}
	return text
}

// checkAxe has axe-core look at the page, if there is a copy of it.
func (b *tab) checkAxe(where string) {
	b.Helper()
	path := os.Getenv(axeScript)
	if path == "" {
		return
	}
	script, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	eval[int](b, string(script)+";0")
	const run = `axe.run().then(r => r.violations.flatMap(v => v.nodes.map(n => v.id + ": " + v.help + ": " + n.html.slice(0, 150))))`
	for _, fault := range eval[[]string](b, run) {
		b.Errorf("%s: axe: %s", where, fault)
	}
}
