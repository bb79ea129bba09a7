package server

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// screenshotsDir is the variable that names a directory to put pictures of the
// pages into, for somebody to look at.
const screenshotsDir = "SCALER_SCREENSHOTS"

// pageTimeout bounds what a test does on one page. The machine may have other
// work.
const pageTimeout = 2 * time.Minute

// chromium is started once for all tests.
var chromium = sync.OnceValues(func() (context.Context, error) {
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		return nil, errors.New("no chromium is installed")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.DisableGPU)
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	ctx, stopAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, stop := chromedp.NewContext(ctx)
	stopChromium = func() { stop(); stopAllocator() }
	return ctx, chromedp.Do(ctx)
})

var stopChromium = func() {}

func TestMain(m *testing.M) {
	code := m.Run()
	stopChromium()
	os.Exit(code)
}

// tab is a page in a real browser.
type tab struct {
	*testing.T
	ctx  context.Context
	base string

	mu     sync.Mutex
	faults []string // that the browser has reported
}

// openTab serves the pages and opens a browser on them. Without a browser the
// test is skipped.
func openTab(t *testing.T, web *Web) *tab {
	t.Helper()
	if testing.Short() {
		t.Skip("a browser takes its time: not with -short")
	}
	browser, err := chromium()
	if err != nil {
		t.Skipf("the pages are not tried in a browser: %v", err)
	}
	ts := httptest.NewServer(web.Handler())
	t.Cleanup(ts.Close)
	t.Cleanup(web.live.close) // before the server is closed, which waits for its streams
	ctx, stop := chromedp.NewContext(browser)
	t.Cleanup(stop)
	b := &tab{T: t, ctx: ctx, base: ts.URL}
	if err := chromedp.Do(ctx); err != nil { // without a deadline, which would be that of the tab
		t.Fatalf("open a tab: %v", err)
	}
	messages := chromedp.Console(ctx)
	go b.hear(messages)
	return b
}

// hear keeps what the browser complains of: what its policy forbids, what it
// does not get, and what goes wrong in a script.
func (b *tab) hear(messages iter.Seq2[chromedp.ConsoleMessage, error]) {
	for m, err := range messages {
		if err != nil {
			return
		}
		if m.Type == chromedp.ConsoleError || m.Type == chromedp.ConsoleWarning || m.Type == chromedp.ConsoleException {
			b.mu.Lock()
			b.faults = append(b.faults, m.Text+" "+m.URL)
			b.mu.Unlock()
		}
	}
}

// faultless reports what the browser has complained of.
func (b *tab) faultless(where string) {
	b.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.faults {
		b.Errorf("%s: the browser says: %s", where, f)
	}
	b.faults = nil
}

// forgive forgets what the browser has complained of.
func (b *tab) forgive() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = nil
}

// step is something that the browser does.
type step = chromedp.Action[chromedp.Void]

func (b *tab) run(what string, steps ...step) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, pageTimeout)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.Fatalf("%s: %v", what, err)
	}
}

// outcomeOf is run for what has a value.
func outcomeOf[T any](b *tab, what string, a chromedp.Action[T]) T {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, pageTimeout)
	defer cancel()
	value, err := chromedp.Run(ctx, a)
	if err != nil {
		b.Fatalf("%s: %v", what, err)
	}
	return value
}

// protocol sends the browser a command of its protocol.
func protocol[P, R any](b *tab, c cdp.Command[P, R], params P) R {
	b.Helper()
	return outcomeOf(b, c.Method, func(ctx context.Context, t *chromedp.Target) (R, error) { return cdp.Call(ctx, t, c, params) })
}

// open goes to a page.
func (b *tab) open(path string) {
	b.Helper()
	b.run("open "+path, chromedp.Navigate(b.base+path))
}

// eval returns what an expression is on the page.
func eval[T any](b *tab, expression string) T {
	b.Helper()
	return outcomeOf(b, "evaluate", chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// until waits for an expression to become true, also on the page after this
// one.
func (b *tab) until(what, expression string) {
	b.Helper()
	tick := time.NewTicker(30 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); ; <-tick.C {
		good, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool]("!!("+expression+")"))
		if good && err == nil {
			return
		}
		if time.Now().After(deadline) {
			b.Fatalf("%s: not within 30 s (%v); the page says: %.2000s", what, err, eval[string](b, "document.body.innerText"))
		}
	}
}

// look is how the screen is.
type look struct {
	name   string
	width  int64
	height int64
	dark   bool
}

// looks are the screens that the pages are tried on.
var looks = []look{{"wide", 1280, 800, false}, {"narrow", 375, 740, false}, {"dark", 1280, 800, true}, {"narrow-dark", 375, 740, true}}

func (l look) narrowDark() bool { return l.dark && l.width < 500 }

// as makes the screen look like that.
func (b *tab) as(l look) {
	b.Helper()
	scheme := "light"
	if l.dark {
		scheme = "dark"
	}
	b.run("set the screen", chromedp.EmulateViewport(l.width, l.height))
	protocol(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
}

// picture keeps a picture of the whole page, if somebody wants to see it.
func (b *tab) picture(name string) {
	b.Helper()
	dir := os.Getenv(screenshotsDir)
	if dir == "" {
		return
	}
	png := outcomeOf(b, "take a picture", chromedp.FullScreenshot(100))
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		b.Fatal(err)
	}
}

// login logs alice in by the form.
func (b *tab) login() {
	b.Helper()
	b.open("/login")
	b.run("log in", chromedp.SendKeys(chromedp.CSS("#name"), "alice"), chromedp.SendKeys(chromedp.CSS("#password"), "right\r"),
		chromedp.WaitVisible(chromedp.CSS(`form[action="/logout"]`)))
}

// quoted is a text as a script has it.
func quoted(text string) string {
	data, _ := json.Marshal(text) // text can always be encoded
	return string(data)
}

// press presses a key so often.
func (b *tab) press(key string, times int) {
	b.Helper()
	b.run("press a key", chromedp.KeyEvent(strings.Repeat(key, times)))
}
