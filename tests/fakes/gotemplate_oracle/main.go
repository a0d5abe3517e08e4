// Runs Go's own text/template, so that ollamapy's engine can be held against it.
//
// A line of standard input is {"template": text, "data": value}; a line of standard output answers it with
// {"output": text} or {"stage": "parse" or "exec", "error": text}. A value is tagged, so that ints and floats stay
// apart: {"n":null} {"b":true} {"i":"5"} {"f":"1.5"} {"s":"text"} {"l":[...]} {"m":{"key":...}}.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"strings"
	"text/template"
	"text/template/parse"
	"time"
)

type request struct {
	Template string          `json:"template"`
	Data     json.RawMessage `json:"data"`
}

type answer struct {
	Output string `json:"output"`
	Stage  string `json:"stage,omitempty"`
	Error  string `json:"error,omitempty"`
}

type tagged struct {
	Bool   *bool                      `json:"b"`
	Int    *string                    `json:"i"`
	Float  *string                    `json:"f"`
	String *string                    `json:"s"`
	List   []json.RawMessage          `json:"l"`
	Map    map[string]json.RawMessage `json:"m"`
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func value(raw json.RawMessage) any {
	var t tagged
	check(json.Unmarshal(raw, &t))
	switch {
	case t.Bool != nil:
		return *t.Bool
	case t.Int != nil:
		number, err := strconv.Atoi(*t.Int)
		check(err)
		return number
	case t.Float != nil:
		number, err := strconv.ParseFloat(*t.Float, 64)
		check(err)
		return number
	case t.String != nil:
		return *t.String
	case t.List != nil:
		items := make([]any, len(t.List))
		for i, item := range t.List {
			items[i] = value(item)
		}
		return items
	case t.Map != nil:
		members := make(map[string]any, len(t.Map))
		for key, item := range t.Map {
			members[key] = value(item)
		}
		return members
	}
	return nil
}

// What the contract's section 3 adds to Go's functions. Properties of tools do not occur here.
var functions = template.FuncMap{
	"json": func(v any) string {
		text, _ := json.Marshal(v)
		return string(text)
	},
	"currentDate":      func(...string) string { return time.Now().Format("2006-01-02") },
	"yesterdayDate":    func(...string) string { return time.Now().AddDate(0, 0, -1).Format("2006-01-02") },
	"toTypeScriptType": func(any) string { return "any" },
}

// hasBareCall finds a {{ template }} without a pipeline, which Ollama refuses.
func hasBareCall(node parse.Node) bool {
	switch n := node.(type) {
	case *parse.ListNode:
		if n == nil {
			return false
		}
		for _, child := range n.Nodes {
			if hasBareCall(child) {
				return true
			}
		}
	case *parse.IfNode:
		return hasBareCall(n.List) || hasBareCall(n.ElseList)
	case *parse.WithNode:
		return hasBareCall(n.List) || hasBareCall(n.ElseList)
	case *parse.RangeNode:
		return hasBareCall(n.List) || hasBareCall(n.ElseList)
	case *parse.TemplateNode:
		return n.Pipe == nil
	}
	return false
}

func parsed(text string) (*template.Template, error) {
	t, err := template.New("").Option("missingkey=zero").Funcs(functions).Parse(text)
	if err != nil {
		return nil, err
	}
	for _, each := range t.Templates() {
		if each.Tree != nil && hasBareCall(each.Tree.Root) {
			return nil, errors.New("undefined template specified")
		}
	}
	return t, nil
}

func run(r request) answer {
	t, err := parsed(r.Template)
	if err != nil {
		return answer{Stage: "parse", Error: err.Error()}
	}
	var output strings.Builder
	if err := t.Execute(&output, value(r.Data)); err != nil {
		return answer{Stage: "exec", Error: err.Error()}
	}
	return answer{Output: output.String()}
}

func main() {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriter(os.Stdout)
	decoder, encoder := json.NewDecoder(in), json.NewEncoder(out)
	for decoder.More() {
		var r request
		check(decoder.Decode(&r))
		check(encoder.Encode(run(r)))
		check(out.Flush())
	}
}
