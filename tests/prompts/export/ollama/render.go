// Renders chat templates as Ollama does (template.Execute with .Messages), one JSON object per line.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"text/template"
)

type message struct {
	Role    string
	Content string
}

// merged joins messages of one speaker in a row, except results of tools, and gives all system messages as one text.
func merged(given []message) (string, []*message) {
	var system []string
	var made []*message
	for number := range given {
		one := &given[number]
		if one.Role == "system" {
			system = append(system, one.Content)
		}
		if last := len(made) - 1; last >= 0 && made[last].Role == one.Role && one.Role != "tool" {
			made[last].Content += "\n\n" + one.Content
		} else {
			made = append(made, one)
		}
	}
	return strings.Join(system, "\n\n"), made
}

func rendered(text string, given []message) string {
	parsed, err := template.New("").Option("missingkey=zero").Parse(text)
	if err != nil {
		return "error: " + err.Error()
	}
	system, messages := merged(given)
	var written bytes.Buffer
	if err := parsed.Execute(&written, map[string]any{"System": system, "Messages": messages, "Response": ""}); err != nil {
		return "error: " + err.Error()
	}
	return written.String()
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	results := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var asked struct {
			Template string
			Messages []message
		}
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			panic(err)
		}
		if err := results.Encode(rendered(asked.Template, asked.Messages)); err != nil {
			panic(err)
		}
	}
}
