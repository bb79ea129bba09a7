package config

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"scaler.io/scaler/internal/plan"
)

// minLifetime keeps runners from being replaced as soon as they are there.
const minLifetime = time.Minute

const portionPattern = `^[0-9]+%$`

var percentPattern = regexp.MustCompile(portionPattern)

func (k key) parsePortion(n *yaml.Node) (any, error) {
	switch tag := n.ShortTag(); {
	case tag == "!!int":
		var count int
		if n.Decode(&count) != nil || count < 1 {
			return nil, fmt.Errorf("%s is out of range: it is at least 1, or a share of max like 25%%", n.Value)
		}
		return plan.Portion{Count: count}, nil
	case tag != "!!str":
		return nil, fmt.Errorf("expected %s, found %s", k.expected(), foundValue(n))
	case !percentPattern.MatchString(n.Value):
		return nil, fmt.Errorf("%q is neither a number nor a share of max: write it like 2 or 25%%", n.Value)
	}
	percent, err := strconv.Atoi(strings.TrimSuffix(n.Value, "%"))
	if err != nil || percent < 1 || percent > 100 {
		return nil, fmt.Errorf("%q is out of range: a share of max is from 1%% to 100%%", n.Value)
	}
	return plan.Portion{Percent: percent}, nil
}

// validateRenewal checks what is for persistent runners only.
func validateRenewal(d *decoder, p Pool, path string) {
	if d.ok(path+".max_lifetime") && p.MaxLifetime > 0 && p.MaxLifetime < minLifetime {
		d.report(path+".max_lifetime", "%s is too short: write at least %s, or 0 for no limit", p.MaxLifetime, shortDuration(minLifetime))
	}
	if !p.Ephemeral || !d.ok(path+".ephemeral") {
		return
	}
	const advice = "an ephemeral runner has one job and goes: remove it, or set ephemeral: false"
	if d.ok(path+".max_lifetime") && p.MaxLifetime > 0 {
		d.report(path+".max_lifetime", "%s", advice)
	}
	if d.ok(path+".max_jobs") && p.MaxJobs > 0 {
		d.report(path+".max_jobs", "%s", advice)
	}
}

// Renewal puts into the planner's terms when the pool's runners are replaced,
// but for what they are made from.
func (p Pool) Renewal() plan.Renewal {
	return plan.Renewal{MaxLifetime: p.MaxLifetime, MaxJobs: p.MaxJobs, Unavailable: p.MaxUnavailable}
}

// Recipe is what the pool's runners, which take jobs of the scope, are made
// from. It does not know the image's id.
func (p Pool) Recipe(scope plan.Scope) plan.Recipe {
	return plan.Recipe{Registration: p.registrationDigest(scope), Container: p.containerDigest()}
}

// registrationDigest is that of what a runner is registered with.
func (p Pool) registrationDigest(scope plan.Scope) string {
	labels := make([]string, 0, len(p.Labels))
	for _, l := range p.Labels {
		labels = append(labels, l.String())
	}
	slices.Sort(labels)
	d := newDigest()
	d.add("scope", scope.String())
	d.add("labels", labels)
	d.add("ephemeral", p.Ephemeral)
	d.add("registration", string(p.Registration))
	return d.String()
}

// notOfContainer are the keys of container that say how it comes about, and not
// what it is.
var notOfContainer = []string{"pull", "pull_timeout", "registry_auth"}

// containerDigest is that of what a runner's container is made from.
func (p Pool) containerDigest() string {
	d := newDigest()
	d.add("image", p.Image)
	d.add("runner_config", string(p.RunnerConfig))
	if p.Runner != RunnerAuto {
		d.add("runner", string(p.Runner))
	}
	v := reflect.ValueOf(p.Container)
	for _, k := range keysOf(v.Type()) {
		// What is not set is left out, so that a key that comes with a later
		// scaler makes no other container.
		if f := v.FieldByIndex(k.field); !slices.Contains(notOfContainer, k.name) && !unset(f) {
			d.add(k.name, f.Interface())
		}
	}
	return d.String()
}

func unset(v reflect.Value) bool {
	if v.Kind() == reflect.Struct {
		for i := range v.NumField() {
			if !unset(v.Field(i)) {
				return false
			}
		}
		return true
	}
	return v.IsZero() || (v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.Len() == 0
}

// digest is one over settings with their names.
type digest struct{ hash hash.Hash }

func newDigest() digest { return digest{sha256.New()} }

// add adds a setting, whose value is text, a number, or a list or map of text.
func (d digest) add(name string, value any) {
	data, err := json.Marshal(value) // maps come in the order of their keys
	if err != nil {
		panic(fmt.Sprintf("config: digest of %s: %v", name, err)) // a type that JSON does not have, found by any test
	}
	fmt.Fprintf(d.hash, "%s=%s\n", name, data)
}

// String is as much of the digest as tells settings apart.
func (d digest) String() string { return hex.EncodeToString(d.hash.Sum(nil)[:16]) }
