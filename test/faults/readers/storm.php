<?php
// Reads token files as fast as it can, until told to stop; tells what it found.
$stop = $argv[1];
$paths = array_slice($argv, 2);
$found = ['reads' => 0, 'missing' => 0, 'empty' => 0, 'torn' => 0, 'back' => 0, 'changes' => 0];
$last = [];
for ($round = 1; ; $round++) {
    foreach ($paths as $path) {
        $found['reads']++;
        $text = @file_get_contents($path);
        if ($text === false) {
            $found['missing']++;
            continue;
        }
        if ($text === '') {
            $found['empty']++;
            continue;
        }
        $token = json_decode($text, true);
        $whole = is_array($token) && count($token) === 2 && substr($text, -2) === "}\n"
            && is_string($token['value'] ?? null) && strlen($token['value']) === 136
            && is_int($token['expire'] ?? null);
        if (!$whole) {
            $found['torn']++;
            continue;
        }
        if (isset($last[$path]) && $last[$path]['value'] !== $token['value']) {
            $found['changes']++;
            if ($token['expire'] < $last[$path]['expire']) {
                $found['back']++;
            }
        }
        $last[$path] = $token;
    }
    if ($round % 100 === 0) {
        clearstatcache();
        $stopped = file_exists($stop);
        echo json_encode($found + ['end' => $stopped]), "\n";
        if ($stopped) {
            break;
        }
    }
}
