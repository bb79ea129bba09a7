package config

import (
	"reflect"
	"testing"

	"scaler.io/scaler/internal/plan"
)

// Every setting of a container makes another recipe, but for those that say how
// it comes about; those of a pool that are numbers do not.
func TestRecipe(t *testing.T) {
	scope := plan.Scope{Kind: plan.ScopeInstance}
	pool := func(change func(*Pool)) plan.Recipe {
		c := mustParse(t, example(t, "minimal.yaml"))
		change(&c.Pools[0])
		return c.Pools[0].Recipe(scope)
	}
	was := pool(func(*Pool) {})
	if was.Registration == "" || was.Container == "" || was.Image != "" {
		t.Fatalf("recipe %+v", was)
	}
	for name, tt := range map[string]struct {
		change                  func(*Pool)
		registration, container bool
	}{
		"nothing":       {func(*Pool) {}, false, false},
		"numbers":       {func(p *Pool) { p.Min, p.Max, p.Idle, p.IdleTimeout, p.MaxJobs = 1, 2, Idle{Count: 1}, 3, 4 }, false, false},
		"image":         {func(p *Pool) { p.Image = "other:latest" }, false, true},
		"runner_config": {func(p *Pool) { p.RunnerConfig = append(p.RunnerConfig, "x: 1\n"...) }, false, true},
		"labels":        {func(p *Pool) { p.Labels = append(p.Labels, plan.Label{Name: "gpu"}) }, true, false},
		"label image":   {func(p *Pool) { p.Labels = []plan.Label{{Name: p.Labels[0].Name, Schema: "docker", Args: "//new"}} }, true, false},
		"ephemeral":     {func(p *Pool) { p.Ephemeral = !p.Ephemeral }, true, false},
		"registration":  {func(p *Pool) { p.Registration = RegisterByContainer }, true, false},
		"runner":        {func(p *Pool) { p.Runner = RunnerForgejo }, false, true},
		"nil for empty": {func(p *Pool) { p.Container.Env, p.Container.Binds = map[string]string{}, []string{} }, false, false},
	} {
		is := pool(tt.change)
		if (is.Registration != was.Registration) != tt.registration || (is.Container != was.Container) != tt.container {
			t.Errorf("%s: %+v, before %+v", name, is, was)
		}
	}
	if other := (Pool{}).Recipe(plan.Scope{Kind: plan.ScopeOrg, Owner: "a"}); other.Registration == (Pool{}).Recipe(scope).Registration {
		t.Error("another scope makes the same recipe")
	}
	for _, k := range keysOf(reflect.TypeFor[Container]()) {
		is := pool(func(p *Pool) { touch(t, reflect.ValueOf(&p.Container).Elem().FieldByIndex(k.field)) })
		ofHow := k.name == "pull" || k.name == "pull_timeout" || k.name == "registry_auth"
		if (is.Container == was.Container) != ofHow {
			t.Errorf("container.%s: another recipe is %v", k.name, is.Container != was.Container)
		}
	}
}

// touch gives a setting another value.
func touch(t *testing.T, v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Int64:
		v.SetInt(v.Int() + 1)
	case reflect.Float64:
		v.SetFloat(v.Float() + 1)
	case reflect.Slice:
		v.Set(reflect.ValueOf([]string{"x"}))
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{"x": "y"}))
	case reflect.Struct:
		touch(t, v.Field(0))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
	default:
		t.Fatalf("a setting of kind %s", v.Kind())
	}
}
