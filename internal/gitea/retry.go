package gitea

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// maxRetryAfter is the longest wait that a server can ask for within one
// operation. If it asks for more, the operation ends with that answer, and
// hold keeps the next ones back.
const maxRetryAfter = 10 * time.Second

// setRetry gives the client the retry policy.
func setRetry(c *retryablehttp.Client, o Options) {
	c.RetryMax, c.RetryWaitMin, c.RetryWaitMax = o.RetryMax, o.RetryWaitMin, o.RetryWaitMax
	if c.RetryMax == 0 {
		c.RetryMax = DefaultRetryMax
	}
	if c.RetryWaitMin <= 0 {
		c.RetryWaitMin = DefaultRetryWaitMin
	}
	if c.RetryWaitMax <= 0 {
		c.RetryWaitMax = max(DefaultRetryWaitMax, c.RetryWaitMin)
	}
	c.CheckRetry = checkRetry
	c.Backoff = backoff
	c.ErrorHandler = passAnswer
}

// checkRetry says whether a request is repeated after this outcome.
func checkRetry(ctx context.Context, resp *http.Response, err error) (bool, error) {
	call := callOf(ctx)
	_, held := errors.AsType[*heldError](err)
	switch {
	case ctx.Err() != nil || !call.repeat || held:
		return false, nil
	case errors.Is(err, errRedirect) || errors.Is(err, errTooLarge):
		return false, nil
	case err == nil && bytes.Contains(call.answer.body, []byte("registration token")):
		// Gitea says 500 to a token that it does not accept. Asking again
		// gives the same.
		return false, nil
	}
	if err == nil {
		wait, asked := retryAfter(resp.Header.Get("Retry-After"))
		deadline, has := ctx.Deadline()
		if asked && (wait > maxRetryAfter || has && time.Until(deadline) <= wait) {
			return false, nil
		}
	}
	// What is left are the errors of the network, of which this policy leaves
	// out those of certificates and malformed requests, and 429 and 5xx.
	return retryablehttp.DefaultRetryPolicy(ctx, resp, err)
}

// backoff doubles the wait with each attempt and takes up to half of it away
// at random. It obeys Retry-After.
func backoff(least, most time.Duration, attempt int, resp *http.Response) time.Duration {
	if resp != nil {
		if wait, ok := retryAfter(resp.Header.Get("Retry-After")); ok {
			return min(wait, maxRetryAfter)
		}
	}
	wait := least << min(attempt, 16)
	if wait <= 0 || wait > most {
		wait = most
	}
	return wait - rand.N(wait/2+1)
}

// retryAfter reads a Retry-After header: seconds or a date.
func retryAfter(header string) (time.Duration, bool) {
	if header == "" {
		return 0, false
	}
	if seconds, err := strconv.ParseUint(header, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second, true
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(time.Until(at), 0), true
	}
	return 0, false
}

// passAnswer hands the last answer on when the attempts are used up, in place
// of the retrying client's own error, which hides it.
func passAnswer(resp *http.Response, err error, _ int) (*http.Response, error) {
	if err == nil {
		return resp, nil
	}
	if resp != nil {
		resp.Body.Close()
	}
	return nil, err
}

// retryLogger writes what the retrying client tells about failures and
// repetitions at debug level: the operation's own error is for its caller to
// log. Headers, which hold the token, are not among it.
type retryLogger struct{ log *slog.Logger }

// Error implements retryablehttp.LeveledLogger.
func (l retryLogger) Error(msg string, args ...any) { l.log.Debug(msg, renameErr(args)...) }

// Warn implements retryablehttp.LeveledLogger.
func (l retryLogger) Warn(msg string, args ...any) { l.log.Debug(msg, renameErr(args)...) }

// Info implements retryablehttp.LeveledLogger.
func (l retryLogger) Info(msg string, args ...any) { l.log.Debug(msg, renameErr(args)...) }

// Debug implements retryablehttp.LeveledLogger. It leaves out the line for
// each request, of which there are several a second.
func (l retryLogger) Debug(msg string, args ...any) {
	if msg != "performing request" {
		l.log.Debug(msg, args...)
	}
}

// renameErr gives the error the key that it has everywhere else.
func renameErr(args []any) []any {
	args = slices.Clone(args)
	for i := 0; i < len(args); i += 2 {
		if args[i] == "error" {
			args[i] = "err"
		}
	}
	return args
}
