package main

import (
	"bufio"
	"crypto/sha1"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"example.com/wxtokend"
)

// Answers each line on stdin, in order: see signers.test.ts.
func signLines(reader *wxtokend.Reader) {
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		answer, err := sign(reader, strings.Split(lines.Text(), "\t"))
		if err != nil {
			answer = "error " + err.Error()
		}
		fmt.Println(answer)
	}
}

func sign(reader *wxtokend.Reader, words []string) (string, error) {
	switch words[0] {
	case "page":
		seconds, err := strconv.ParseInt(words[3], 10, 64)
		if err != nil {
			return "", err
		}
		page, err := reader.SignPage(words[1], words[2], time.Unix(seconds, 0))
		return fmt.Sprint(page.AppID, " ", page.Timestamp, " ", page.NonceStr, " ", page.Signature), err
	case "ask":
		page, err := reader.RequestPage(words[1])
		if err != nil {
			return "", err
		}
		text, err := json.Marshal(page)
		return string(text), err
	case "card":
		cardExt := map[string]string{"timestamp": words[2], "nonce_str": words[3], "code": words[4]}
		err := reader.SignCard(words[1], cardExt)
		return cardExt["signature"], err
	default:
		return wxtokend.Signature(words[1:]...), nil
	}
}

// Answers each URL on stdin with "timestamp nonceStr signature", as js.GetConfig of silenceper/wechat makes them.
func signAsSilenceper(handle jsTicketHandle) {
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		ticket, err := handle.GetTicket("a-token")
		if err != nil {
			fmt.Println("error", err)
			continue
		}
		nonce, timestamp := wxtokend.Nonce(), time.Now().Unix()
		text := fmt.Sprintf("jsapi_ticket=%s&noncestr=%s&timestamp=%d&url=%s", ticket, nonce, timestamp, lines.Text())
		fmt.Printf("%d %s %x\n", timestamp, nonce, sha1.Sum([]byte(text)))
	}
}
