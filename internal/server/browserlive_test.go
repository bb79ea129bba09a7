package server

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"scaler.io/scaler/internal/plan"
)

// A page follows the state without being asked to, and what the reader does on
// it stays: focus, scrolling, what is chosen and what is open.
func TestPagesAreLive(t *testing.T) {
	w := busyWorld(6, 3)
	b := openTab(t, w.web(t, gatewayConfig(t), newFakeTokens()))
	b.as(looks[0])
	b.open("/")
	b.until("the page says that it is live", `document.getElementById("live").textContent === "Live"`)
	b.run("focus a link", chromedp.Focus(chromedp.CSS(`tbody a[href="/pools/arm"]`)))
	eval[string](b, `scrollTo(0, 200); document.querySelector("main").mark = "kept"`)

	w.change(func(s *plan.Status) { s.QueueSize = 77 })
	b.until("the queue's length is new", `document.querySelector('.tiles a[href="/queue"]').textContent === "77"`)
	w.change(func(s *plan.Status) {
		s.Problems = append(s.Problems, plan.Problem{Subject: "docker", Since: time.Now(), Message: "the engine is gone"})
	})
	b.until("the problem is there", `document.querySelector(".problems").textContent.includes("the engine is gone")`)
	w.change(func(s *plan.Status) { s.Problems = nil; s.Pools = s.Pools[1:] })
	b.until("the problem is over", `!document.querySelector(".problems") && document.querySelector(".well")`)
	if rows := eval[int](b, `document.querySelectorAll("tbody tr[data-key=linux]").length`); rows != 0 {
		t.Error("the pool that was removed is still there")
	}
	if got := eval[string](b, "document.activeElement.textContent"); got != "arm" {
		t.Errorf("the focus went to %q", got)
	}
	if eval[string](b, `document.querySelector("main").mark`) != "kept" {
		t.Error("the page was loaded anew")
	}
	if y := eval[int](b, "Math.round(scrollY)"); y < 100 {
		t.Errorf("the page scrolled to %d", y)
	}
	b.faultless("the overview")
}

func TestListsAreLive(t *testing.T) {
	w := busyWorld(30, 20)
	w.change(func(s *plan.Status) { s.Corpses = nil }) // a list of its own
	b := openTab(t, w.web(t, gatewayConfig(t), newFakeTokens()))
	b.as(looks[0])
	b.open("/runners")
	b.until("the page is live", `document.getElementById("live").textContent === "Live"`)
	b.run("choose", chromedp.SetValue(chromedp.CSS("#phase"), "idle"))
	eval[string](b, `document.querySelector("tbody tr[data-key$='000020']").mark = "same"`)
	w.change(func(s *plan.Status) {
		s.Runners = slices.Delete(s.Runners, 3, 10)
		slices.Reverse(s.Runners)
		s.Runners[0].Phase = plan.PhaseRemoving
	})
	b.until("rows have gone", `document.querySelectorAll("tbody tr").length === 23`)
	want := strings.Join(namesOfRunners(w.Status().Runners), " ")
	if got := eval[string](b, `[...document.querySelectorAll("tbody th")].map(e => e.textContent).join(" ")`); got != want {
		t.Errorf("rows %s, want %s", got, want)
	}
	if eval[string](b, `document.querySelector("tbody tr[data-key$='000020']").mark || ""`) != "same" {
		t.Error("a row that stayed was made anew")
	}
	if got := eval[string](b, `document.querySelector("#phase").value`); got != "idle" {
		t.Errorf("what was chosen became %q", got)
	}
	if got := eval[string](b, `document.querySelector("tbody .phase").textContent`); got != "removing" {
		t.Errorf("the phase is %q", got)
	}
	b.faultless("the runners")
}

func namesOfRunners(list []plan.RunnerStatus) []string {
	var names []string
	for _, r := range list {
		names = append(names, r.Name)
	}
	return names
}

// What a page says when its stream ends.
func TestPagesSayWhenTheyAreNotLive(t *testing.T) {
	w := busyWorld(1, 1)
	web := w.web(t, gatewayConfig(t), newFakeTokens())
	b := openTab(t, web)
	b.open("/queue")
	b.until("the page is live", `document.getElementById("live").textContent === "Live"`)
	web.live.close()
	b.until("the page says so", `document.getElementById("live").textContent.includes("Connection lost")`)
}

// tabTo presses Tab until the element has the focus, as somebody does who has
// no mouse.
func (b *tab) tabTo(query string) {
	b.Helper()
	for range 80 {
		b.press(kb.Tab, 1)
		if eval[bool](b, `document.activeElement.matches(`+quoted(query)+`)`) {
			if eval[bool](b, `getComputedStyle(document.activeElement).outlineStyle === "none"`) {
				b.Errorf("%s has the focus and does not show it", query)
			}
			return
		}
	}
	b.Fatalf("%s is not reached by the keyboard; the focus is on %s", query, eval[string](b, "document.activeElement.outerHTML"))
}

// enter presses Enter, which leads to another page.
func (b *tab) enter(heading string) {
	b.Helper()
	b.press(kb.Enter, 1)
	b.until("get to "+heading, `document.readyState === "complete" && document.querySelector("h1") && document.querySelector("h1").textContent === `+quoted(heading))
}

// Everything can be done by the keyboard alone.
func TestActionsByKeyboard(t *testing.T) {
	w := busyWorld(3, 2)
	b := openTab(t, w.web(t, gatewayConfig(t), newFakeTokens()))
	b.as(looks[0])
	b.open("/pools/linux")
	if eval[bool](b, `!!document.querySelector('form[action="/pools/linux/pause"]')`) {
		t.Error("who is not logged in is offered actions")
	}
	b.tabTo(`a[href^="/login"]`)
	b.enter("Log in")
	b.press("alice", 1)
	b.press(kb.Tab, 1)
	b.press("right", 1)
	b.enter("Pool linux")

	b.tabTo(`form[action="/pools/linux/pause"] button`)
	b.enter("Pause pool linux?")
	b.tabTo("#reason")
	b.press("new disks", 1)
	b.tabTo("main button")
	b.enter("Pool linux")
	b.until("it is said", `document.querySelector("[role=status].note").textContent === "Pool linux is paused."`)
	b.until("it is shown", `document.querySelector("main").textContent.includes("by alice on the web page since")`)
	b.tabTo(`form[action="/pools/linux/resume"] button`)
	b.enter("Resume pool linux?")
	b.tabTo("main button")
	b.enter("Pool linux")

	b.open("/")
	b.press(kb.Tab, 1)
	if !eval[bool](b, `document.activeElement.matches(".skip") && document.activeElement.getBoundingClientRect().left >= 0`) {
		t.Error("the first thing is not the visible way past the head of the page")
	}
	b.press(kb.Enter, 1)
	b.until("it leads to the content", `document.activeElement.id === "content"`)
	b.tabTo(`form[action="/actions/reload"] button`)
	b.enter("Read the configuration again?")
	b.tabTo("main button")
	b.enter("Reloaded")

	want := []string{"pause linux by alice on the web page new disks", "resume linux by alice on the web page", "reload"}
	if got := w.done(); !slices.Equal(got, want) {
		t.Errorf("done %q, want %q", got, want)
	}
	b.faultless("the actions")
}

// Without a script a page is right at the moment of its load, and everything
// can be done.
func TestWithoutScripts(t *testing.T) {
	w := busyWorld(3, 2)
	b := openTab(t, w.web(t, gatewayConfig(t), newFakeTokens()))
	protocol(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.login()
	b.open("/runners/scaler-abcd-linux-000000")
	b.run("drain",
		chromedp.Click(chromedp.CSS(`form[action$="/drain"] button`)), chromedp.WaitVisible(chromedp.CSS("#reason")),
		chromedp.SendKeys(chromedp.CSS("#reason"), "slow\r"), chromedp.WaitVisible(chromedp.CSS("[role=status].note")))
	if got := w.done(); len(got) != 1 || !strings.Contains(got[0], "Runner:scaler-abcd-linux-000000") || !strings.Contains(got[0], "Reason:slow") {
		t.Errorf("done %q", got)
	}
	w.change(func(s *plan.Status) { s.QueueSize = 91 })
	b.open("/")
	if text := outcomeOf(b, "read", chromedp.Text(chromedp.CSS(`.tiles a[href="/queue"]`))); text != "91" {
		t.Errorf("the queue has %q", text)
	}
}
