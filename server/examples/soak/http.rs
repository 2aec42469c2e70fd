//! An HTTP/1.1 client that sends exactly the bytes it is given, and can part from a server in every way there is.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

use rustix::net::sockopt::{set_socket_linger, set_socket_recv_buffer_size};

/// How long an answer is waited for. Nothing that the server does on purpose takes as long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection to the server.
pub struct Connection {
    stream: BufReader<TcpStream>,
}

/// An answer that has been read to its end.
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether the connection stays open.
    pub is_kept: bool,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|(known, value)| (known == name).then_some(value.as_str()))
    }
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the answer has no {what}"))
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// Those of the system.
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// Those of the system; a server that has closed is one of them.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Sends nothing more, and goes on reading.
    ///
    /// # Errors
    /// Those of the system.
    pub fn close_half(&mut self) -> io::Result<()> {
        self.stream.get_mut().shutdown(Shutdown::Write)
    }

    /// From now on the connection ends with a reset in place of an orderly end.
    ///
    /// # Errors
    /// Those of the system.
    pub fn reset_when_closed(&self) -> io::Result<()> {
        Ok(set_socket_linger(self.stream.get_ref(), Some(Duration::ZERO))?)
    }

    /// From now on the system keeps about so many bytes that have come and are not read.
    ///
    /// # Errors
    /// Those of the system.
    pub fn limit_room(&self, bytes: usize) -> io::Result<()> {
        Ok(set_socket_recv_buffer_size(self.stream.get_ref(), bytes)?)
    }

    /// Reads some of what comes; 0 at the end.
    ///
    /// # Errors
    /// Those of the system; one that waits for too long is one of them.
    pub fn read_some(&mut self) -> io::Result<usize> {
        self.stream.read(&mut [0; 64])
    }

    /// Reads the next answer, and over what is only said in between (100 Continue).
    ///
    /// # Errors
    /// The end of the connection, and what is no HTTP.
    pub fn read(&mut self) -> io::Result<Answer> {
        loop {
            let answer = self.read_one()?;
            if answer.status >= 200 {
                return Ok(answer);
            }
        }
    }

    fn read_one(&mut self) -> io::Result<Answer> {
        let first = self.line()?;
        let status = first.split(' ').nth(1).and_then(|text| text.parse().ok()).ok_or_else(|| broken("status"))?;
        let mut answer = Answer { status, headers: Vec::new(), body: Vec::new(), is_kept: true };
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            answer.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        answer.is_kept = answer.header("connection") != Some("close");
        if answer.header("transfer-encoding") == Some("chunked") {
            loop {
                let line = self.line()?;
                let size = u64::from_str_radix(&line, 16).map_err(|_| broken("length of a chunk"))?;
                self.take(size, &mut answer.body)?;
                // The end of the chunk's line, or of the answer.
                self.line()?;
                if size == 0 {
                    return Ok(answer);
                }
            }
        }
        let length = answer.header("content-length").map_or(Ok(0), str::parse::<u64>).map_err(|_| broken("length"))?;
        self.take(length, &mut answer.body)?;
        Ok(answer)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }

    fn take(&mut self, length: u64, body: &mut Vec<u8>) -> io::Result<()> {
        let read = (&mut self.stream).take(length).read_to_end(body)?;
        if read as u64 == length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}
